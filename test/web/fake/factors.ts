import { randomUUID } from 'node:crypto';
import { Secret, TOTP } from 'otpauth';
import {
  answerLogin,
  deviceOf,
  Refused,
  requireFresh,
  requireSession,
  textOf,
  type Exchange,
  type Routes,
} from './exchange.ts';
import { newToken, type FakeSession, type People, type Person } from './people.ts';

interface Passkey {
  id: string;
  credential: string;
  name: string;
  created_at: string;
  last_used_at: string | null;
  backed_up: boolean;
}

interface Factors {
  secret: string | undefined;
  confirmed: boolean;
  codes: string[];
  passkeys: Passkey[];
}

/** Codes of an app, recovery codes, passkeys. Signatures are not looked at. */
export function createFactors(people: People) {
  const all = new Map<string, Factors>();
  const steps = new Map<string, { person: Person; device: FakeSession['device'] }>();
  const of = ({ id }: Person): Factors => {
    const known = all.get(id) ?? { secret: undefined, confirmed: false, codes: [], passkeys: [] };
    all.set(id, known);
    return known;
  };

  function methodsOf(person: Person): string[] {
    const { confirmed, passkeys, codes } = of(person);
    const methods = [...(confirmed ? ['totp'] : []), ...(passkeys.length > 0 ? ['passkey'] : [])];
    return methods.length > 0 && codes.length > 0 ? [...methods, 'recovery'] : methods;
  }

  /** How it was proved. */
  function consume(person: Person, { body }: Exchange): string {
    const factors = of(person);
    const { code } = body;
    if (typeof code !== 'string') {
      findPasskey(factors, body['passkey'] ?? body['response']);
      return 'hwk';
    }
    if (factors.confirmed && isCode(factors.secret, code)) return 'otp';
    const kept = factors.codes.indexOf(code.toLowerCase());
    if (kept < 0) throw new Refused('invalid_code');
    factors.codes.splice(kept, 1);
    return 'rcv';
  }

  const fresh = (exchange: Exchange): Person => {
    const { person } = requireSession(people, exchange);
    const methods = methodsOf(person);
    requireFresh(people, exchange, methods.length > 0 ? methods : ['password']);
    return person;
  };
  const renewCodes = (person: Person): string[] =>
    (of(person).codes = Array.from({ length: 10 }, newRecoveryCode));

  return {
    /** The first step was right: is there another? */
    requireSecondStep: (person: Person, exchange: Exchange): void => {
      const methods = methodsOf(person);
      if (methods.length === 0) return;
      const token = newToken();
      steps.set(token, { person, device: deviceOf(exchange) });
      throw new Refused('mfa_required', { mfa_token: token, methods });
    },
    routes: {
      ...loginRoutes({ people, steps, consume, owners: () => all, of }),
      ...appRoutes({ people, of, fresh, consume, renewCodes }),
      ...passkeyRoutes({ people, of, fresh, renewCodes }),
    },
  };
}

interface Deps {
  people: People;
  of: (person: Person) => Factors;
  fresh: (exchange: Exchange) => Person;
  consume: (person: Person, exchange: Exchange) => string;
  renewCodes: (person: Person) => string[];
}

function loginRoutes(
  deps: Pick<Deps, 'people' | 'consume' | 'of'> & {
    steps: Map<string, { person: Person; device: FakeSession['device'] }>;
    owners: () => Map<string, Factors>;
  },
): Routes {
  const { people, steps, consume, of, owners } = deps;
  return {
    'POST /api/login/mfa': (exchange) => {
      const step = steps.get(textOf(exchange, 'mfa_token'));
      if (!step) throw new Refused('invalid_token');
      const amr = [consume(step.person, exchange)];
      return answerLogin(exchange, people.openSession(step.person, { amr, device: step.device }));
    },
    'POST /api/login/mfa/passkey-options': (exchange) => {
      const step = steps.get(textOf(exchange, 'mfa_token'));
      if (!step) throw new Refused('invalid_token');
      return { options: requestOptions(exchange, of(step.person)) };
    },
    'POST /api/passkeys/login-options': (exchange) => ({
      challenge_id: randomUUID(),
      options: requestOptions(exchange),
    }),
    'POST /api/passkeys/login': (exchange) => {
      const response = exchange.body['response'];
      const owner = [...owners()].find(([, { passkeys }]) =>
        passkeys.some((one) => isOf(one, response)),
      )?.[0];
      const person = people.find((one) => one.id === owner);
      if (!person) throw new Refused('invalid_credentials');
      return answerLogin(exchange, people.openSession(person, { amr: ['hwk'], device: deviceOf(exchange) }));
    },
    'POST /api/reauthenticate/options': (exchange) => ({
      challenge_id: randomUUID(),
      options: requestOptions(exchange, of(requireSession(people, exchange).person)),
    }),
    'POST /api/reauthenticate': (exchange) => {
      const session = requireSession(people, exchange);
      const password = exchange.body['password'];
      if (password !== undefined && password !== session.person.password)
        throw new Refused('invalid_credentials');
      session.amr = [password === undefined ? consume(session.person, exchange) : 'pwd'];
      session.provedAt = Date.now();
      return { success: true };
    },
  };
}

function appRoutes({ people, of, fresh, consume, renewCodes }: Deps): Routes {
  return {
    'GET /api/mfa': (exchange) => {
      const { confirmed, codes, passkeys } = of(requireSession(people, exchange).person);
      return { totp: confirmed, recovery_codes_left: codes.length, passkeys: passkeys.length };
    },
    'POST /api/mfa/totp/enroll': (exchange) => {
      const person = fresh(exchange);
      const secret = new Secret({ size: 20 }).base32;
      Object.assign(of(person), { secret, confirmed: false });
      const uri = new TOTP({ issuer: 'Sluice', label: person.username, secret }).toString();
      return { secret, otpauth_uri: uri, qr_svg: '' };
    },
    'POST /api/mfa/totp/confirm': (exchange) => {
      const { person } = requireSession(people, exchange);
      if (!isCode(of(person).secret, textOf(exchange, 'code'))) throw new Refused('invalid_code');
      of(person).confirmed = true;
      return { recovery_codes: renewCodes(person) };
    },
    'POST /api/mfa/totp/disable': (exchange) => {
      const person = fresh(exchange);
      consume(person, exchange);
      Object.assign(of(person), { secret: undefined, confirmed: false });
      return { success: true };
    },
    'POST /api/mfa/recovery-codes': (exchange) => ({ recovery_codes: renewCodes(fresh(exchange)) }),
  };
}

function passkeyRoutes({ people, of, fresh, renewCodes }: Omit<Deps, 'consume'>): Routes {
  return {
    'GET /api/passkeys': (exchange) => ({ passkeys: of(requireSession(people, exchange).person).passkeys }),
    'POST /api/passkeys/register-options': (exchange) => {
      const { id, username } = fresh(exchange);
      return {
        options: {
          challenge: newToken(),
          rp: { id: hostOf(exchange), name: 'Sluice' },
          user: { id: Buffer.from(id).toString('base64url'), name: username, displayName: username },
          pubKeyCredParams: [{ alg: -7, type: 'public-key' }],
          authenticatorSelection: { residentKey: 'required', userVerification: 'required' },
        },
      };
    },
    'POST /api/passkeys/register': (exchange) => {
      const { person } = requireSession(people, exchange);
      const factors = of(person);
      const { id } = exchange.body['response'] as { id: string };
      const made = { id: randomUUID(), credential: id, name: textOf(exchange, 'name') };
      const at = new Date().toISOString();
      factors.passkeys.push({ ...made, created_at: at, last_used_at: null, backed_up: false });
      return factors.codes.length > 0 ? {} : { recovery_codes: renewCodes(person) };
    },
    'PATCH /api/passkeys/:id': (exchange) => {
      const { passkeys } = of(requireSession(people, exchange).person);
      Object.assign(passkeys.find(({ id }) => id === exchange.id) ?? {}, { name: textOf(exchange, 'name') });
      return { success: true };
    },
    'DELETE /api/passkeys/:id': (exchange) => {
      const factors = of(fresh(exchange));
      factors.passkeys = factors.passkeys.filter(({ id }) => id !== exchange.id);
      return { success: true };
    },
  };
}

function isCode(secret: string | undefined, code: string): boolean {
  if (secret === undefined) return false;
  return TOTP.validate({ token: code, secret: Secret.fromBase32(secret), window: 1 }) !== null;
}

function newRecoveryCode(): string {
  const letters = newToken()
    .toLowerCase()
    .replace(/[^a-z0-9]/g, '0');
  return `${letters.slice(0, 5)}-${letters.slice(5, 10)}`;
}

const isOf = ({ credential }: Passkey, response: unknown): boolean =>
  (response as { id?: string } | undefined)?.id === credential;

function findPasskey({ passkeys }: Factors, response: unknown): void {
  const used = passkeys.find((one) => isOf(one, response));
  if (!used) throw new Refused('invalid_credentials');
  used.last_used_at = new Date().toISOString();
}

function requestOptions(exchange: Exchange, factors?: Factors): Record<string, unknown> {
  const known = factors?.passkeys.map(({ credential }) => ({ id: credential, type: 'public-key' }));
  const allowed = known === undefined ? {} : { allowCredentials: known };
  return { challenge: newToken(), rpId: hostOf(exchange), userVerification: 'required', ...allowed };
}

const hostOf = ({ request }: Exchange): string => (request.headers.host ?? '').replace(/:\d+$/, '');
