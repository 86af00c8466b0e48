// A real OpenID provider on a port of this machine: node provider.mjs MODULES PORT CLAIMS REDIRECT_URI
// Everybody may log in, under any name; each name is in the groups that CLAIMS (JSON) gives it.
import {createRequire} from "node:module";
import {pathToFileURL} from "node:url";

const [modules, port, claims, redirect] = process.argv.slice(2);
const path = createRequire(`${modules}/`).resolve("oidc-provider");
const {default: Provider} = await import(pathToFileURL(path));
const known = JSON.parse(claims);
const provider = new Provider(`http://127.0.0.1:${port}`, {
  clients: [{client_id: "thoracle", client_secret: "a secret of the test", redirect_uris: [redirect]}],
  claims: {openid: ["sub"], profile: ["preferred_username", "groups"]},
  pkce: {required: () => true},
  findAccount: (_context, id) => ({
    accountId: id,
    claims: () => ({sub: id, preferred_username: id, groups: known[id] || []}),
  }),
});
provider.listen(Number(port), "127.0.0.1");
