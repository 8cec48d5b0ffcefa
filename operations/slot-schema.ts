import Type from 'typebox'
import { about, closed } from './schema.ts'

/** What a connection's entry says of placeholders, and of what is put in without one. */

const Text = Type.String({ minLength: 1, expected: 'a text' })

/** Names with texts. */
export function texts(expected: string) {
  return Type.Record(Type.String(), Type.String({ expected: 'a text' }), { expected })
}

export const SlotsEntry = closed({
  headers: Type.Optional(
    about('Header names, in place of the well-known key headers. `[]` is none.', Type.Array(Text), {
      examples: [['x-crm-key']],
    }),
  ),
  path: Type.Optional(
    about('Whether the path is one: a value stands there as data of one segment.', Type.Boolean(), {
      default: false,
    }),
  ),
  query: Type.Optional(
    about('Names of parameters in the query, whose values are slots.', Type.Array(Text), {
      default: [],
      examples: [['key']],
    }),
  ),
  json: Type.Optional(
    about(
      'JSON pointers to strings in JSON bodies, in which `*` is any item of an array. Such bodies are read whole, up to 1 MiB.',
      Type.Array(Type.String({ expected: 'a JSON pointer such as /auth/token' })),
      { default: [], examples: [['/auth/token']] },
    ),
  ),
  form: Type.Optional(
    about(
      'Names of fields in forms, urlencoded or multipart; files are none. Such bodies are read whole, up to 1 MiB.',
      Type.Array(Text),
      { default: [], examples: [['token']] },
    ),
  ),
})

export const PlaceholdersEntry = about(
  'Stand-ins: texts that a client can send where it checks the shape of a key, and the variable for which each stands. They count in slots alone.',
  texts('stand-ins with their variables: { sk_test_standin123: $Auth.API_Key }'),
  { default: {}, examples: [{ sk_test_standin123: '$Auth.API_Key' }] },
)

export const QueryEntry = about(
  "Common query: set in every query, in place of the client's own of the same name.",
  texts('names of parameters with their values'),
  { default: {}, examples: [{ version: '2' }] },
)

export const BodyEntry = about(
  "Common body: merged into the client's bodies of its type at the top level. A POST, PUT or PATCH without a body gets it, a GET never. One of `json`, `form` and `text`.",
  closed({
    json: Type.Optional(
      about(
        'Members for JSON objects. A `{{$…}}` alone keeps its JSON type.',
        Type.Record(Type.String(), Type.Unknown(), { expected: 'members with their values' }),
        { examples: [{ tenant: 'acme' }] },
      ),
    ),
    form: Type.Optional(about('Fields for urlencoded forms.', texts('names of fields with their values'))),
    text: Type.Optional(about("A text, in place of the client's.", Type.String({ expected: 'a text' }))),
  }),
)
