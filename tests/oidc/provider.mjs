// A provider of identities of the tests' own: oidc-provider, in memory, on a free port of this machine, which it prints.
//
// Whoever is sent to sign in is asked nothing: the header X-Account of the request says who sits there. What else the tests
// want of it they POST to /test: new keys, another clock, what it says of an account.

import { createServer } from 'node:http';
import { generateKeyPairSync, randomUUID } from 'node:crypto';
import { once } from 'node:events';
import { Provider } from 'oidc-provider';

const [clientId, clientSecret] = process.argv.slice(2);
const accounts = new Map();
const realNow = Date.now;
let skewMs = 0;
Date.now = () => realNow() + skewMs;

const freshKey = () => ({
  ...generateKeyPairSync('rsa', { modulusLength: 2048 }).privateKey.export({ format: 'jwk' }),
  kid: randomUUID(),
  use: 'sig',
  alg: 'RS256',
});

const server = createServer();
server.listen(Number(process.env.PORT ?? 0), '127.0.0.1');
await once(server, 'listening');
const issuer = `http://127.0.0.1:${server.address().port}`;

const provider = (options) => {
  const made = new Provider(issuer, {
    // The port of a redirect to this machine does not count (RFC 8252).
    clients: [{
      client_id: clientId,
      client_secret: clientSecret,
      application_type: 'native',
      redirect_uris: ['http://127.0.0.1/login/openid/callback'],
      response_types: ['code'],
      grant_types: ['authorization_code'],
    }],
    jwks: { keys: [freshKey()] },
    cookies: { keys: ['of the tests'] },
    claims: { openid: ['sub'], profile: ['preferred_username', 'groups'] },
    // False: what it says of a person is in the token itself, and not only to be asked for.
    conformIdTokenClaims: options.askedFor ?? true,
    pkce: { required: () => true },
    features: { devInteractions: { enabled: false } },
    interactions: { url: (_context, interaction) => `/interaction/${interaction.uid}` },
    ttl: { IdToken: options.idTokenSeconds ?? 3600, AccessToken: 3600, Grant: 3600, Interaction: 3600, Session: 3600 },
    findAccount: (_context, sub) => ({
      accountId: sub,
      claims: () => ({ sub, ...accounts.get(sub) }),
    }),
  });
  // A hang or a stack of a fault would hide what went wrong.
  made.on('server_error', (_context, error) => console.error(error));
  return made;
};

let current = provider({});

const interact = async (request, response) => {
  const details = await current.interactionDetails(request, response);
  const accountId = request.headers['x-account'];
  if (!accountId) {
    return current.interactionFinished(request, response, { error: 'access_denied', error_description: '<b>no</b>' });
  }
  if (details.prompt.name === 'login') {
    return current.interactionFinished(request, response, { login: { accountId, remember: false } });
  }
  const grant = new current.Grant({ accountId, clientId: details.params.client_id });
  grant.addOIDCScope('openid profile');
  const grantId = await grant.save();
  return current.interactionFinished(request, response, { consent: { grantId } });
};

const command = async (request, response) => {
  const parts = [];
  for await (const part of request) parts.push(part);
  const { account, claims, skew_ms: skew, options } = JSON.parse(Buffer.concat(parts).toString());
  if (account) accounts.set(account, claims);
  if (skew !== undefined) skewMs = skew;
  if (options) current = provider(options);
  response.writeHead(204).end();
};

server.on('request', (request, response) => {
  const path = new URL(request.url, issuer).pathname;
  const answer = path === '/test' ? command : path.startsWith('/interaction/') ? interact : current.callback();
  Promise.resolve(answer(request, response)).catch((error) => {
    console.error(error);
    response.writeHead(500).end();
  });
});
console.log(issuer);
// It goes with the test that has started it.
process.stdin.resume();
process.stdin.on('end', () => process.exit(0));
