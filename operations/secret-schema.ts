import Type from 'typebox'
import { about, closed } from './schema.ts'

/** Where a secret is read from when the file is applied. */
export const SecretSource = Type.Union([
  closed({
    env: about(
      'The environment variable that holds it, read when the file is applied.',
      Type.String({ minLength: 1, expected: 'the name of an environment variable' }),
      { examples: ['STRIPE_KEY'] },
    ),
  }),
  closed({
    file: about(
      'The file that holds it, relative to this one, read when this one is applied.',
      Type.String({ minLength: 1, expected: 'a path, relative to this file' }),
      { examples: ['./stripe.key'] },
    ),
  }),
])
