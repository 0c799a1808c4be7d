// A certified OpenID Connect provider (npm oidc-provider) with one client and one person, for the tests of signing in.
// Prints its port once it listens; ends when its standard input does.
import { createServer } from "node:http";
import { Provider, errors } from "oidc-provider";

const { client, person } = JSON.parse(process.argv[2]);
const server = createServer().listen(0, "127.0.0.1", () => {
  const issuer = `http://127.0.0.1:${server.address().port}`;
  const provider = new Provider(issuer, {
    clients: [client],
    pkce: { required: () => true },
    claims: { openid: ["sub"], profile: ["name", "roles"] },
    acrValues: ["urn:example:strong"],
    cookies: { keys: ["of this test"] },
    features: { devInteractions: { enabled: false }, rpInitiatedLogout: { enabled: true } },
    interactions: { url: (_, interaction) => `/interaction/${interaction.uid}` },
    // As SURFconext: the ID token holds `sub` alone, the rest is told by userinfo.
    conformIdTokenClaims: true,
    findAccount: (_, id) => ({ accountId: id, claims: () => ({ sub: id, name: person.name, roles: person.roles }) }),
  });
  // Nobody types anything here: whoever comes to sign in is the one person, and consents.
  const answer = provider.callback();
  server.on("request", async (request, response) => {
    if (!request.url.startsWith("/interaction/")) return answer(request, response);
    try {
      const { prompt, params, session } = await provider.interactionDetails(request, response);
      const grant = new provider.Grant({ accountId: person.subject, clientId: params.client_id });
      grant.addOIDCScope(params.scope);
      const login = { accountId: person.subject, ...(params.acr_values && { acr: params.acr_values.split(" ")[0] }) };
      const result = prompt.name === "login" ? { login } : { consent: { grantId: await grant.save() } };
      await provider.interactionFinished(request, response, result, { mergeWithLastSubmission: true });
    } catch (error) {
      response.writeHead(error instanceof errors.OIDCProviderError ? 400 : 500).end(String(error));
    }
  });
  console.log(server.address().port);
});
process.stdin.on("end", () => process.exit(0)).resume();
