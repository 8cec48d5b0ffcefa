// What a page of the console does by itself (admin/html.ts): nothing but what `data-` says.
const { go, send, tell, to } = document.body.dataset

if (go) location.replace(go)

if (send) {
  // The answer of an implicit grant stands behind the #, which no server sees.
  const form = document.createElement('form')
  form.method = 'post'
  form.action = send
  const input = document.createElement('input')
  input.type = 'hidden'
  input.name = 'fragment'
  input.value = location.hash.slice(1)
  form.append(input)
  document.body.append(form)
  history.replaceState(null, '', location.pathname)
  form.submit()
}

if (tell && to && window.opener) {
  window.opener.postMessage(JSON.parse(tell), to)
  window.close()
}
