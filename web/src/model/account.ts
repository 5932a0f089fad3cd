import { z } from 'zod';
import type { Session } from '../../../sdk/index.ts';

/** What people ask the gateway about themselves. */

const profile = z.object({
  username: z.string(),
  email: z.string(),
  display_name: z.string().nullish(),
  role: z.string(),
  created_at: z.string(),
});
const session = z.object({
  id: z.string(),
  app: z.string().nullish(),
  ip: z.string().nullish(),
  user_agent: z.string().nullish(),
  created_at: z.string(),
  last_used_at: z.string(),
  current: z.boolean(),
  sockets: z.number(),
  amr: z.array(z.string()),
  scopes: z.array(z.string()).nullish(),
});
const factors = z.object({ totp: z.boolean(), recovery_codes_left: z.number(), passkeys: z.number() });
const passkey = z.object({
  id: z.string(),
  name: z.string(),
  created_at: z.string(),
  last_used_at: z.string().nullish(),
  backed_up: z.boolean(),
});
const enrolment = z.object({ secret: z.string(), otpauth_uri: z.string() });
const codes = z.object({ recovery_codes: z.array(z.string()).optional() });
const ended = z.object({ ended: z.number() });

export type Profile = z.infer<typeof profile>;
export type SessionEntry = z.infer<typeof session>;
export type Passkey = z.infer<typeof passkey>;
export type Enrolment = z.infer<typeof enrolment>;
export type Account = ReturnType<typeof createAccount>;

/** `ask` is how an authenticated call is made: it may ask the person who they are first. */
export function createAccount(ask: Session['request']) {
  const recoveryCodes = async (path: string, body: unknown): Promise<string[]> =>
    codes.parse(await ask('POST', path, body)).recovery_codes ?? [];
  return {
    profile: async () => z.object({ profile }).parse(await ask('GET', '/api/profile')).profile,
    rename: (name: string | null) => ask('PATCH', '/api/profile', { display_name: name }),
    requestEmail: (email: string) => ask('POST', '/api/email-change', { new_email: email }),
    confirmEmail: (given: { old_code: string; new_code: string }) =>
      ask('POST', '/api/email-change/confirm', given),
    cancelEmail: () => ask('DELETE', '/api/email-change'),
    deactivate: () => ask('POST', '/api/account/deactivate', {}),
    changePassword: (given: { current_password: string; new_password: string }) =>
      ask('POST', '/api/password/change', given),

    factors: async () => factors.parse(await ask('GET', '/api/mfa')),
    enrol: async () => enrolment.parse(await ask('POST', '/api/mfa/totp/enroll', {})),
    confirmApp: (code: string) => recoveryCodes('/api/mfa/totp/confirm', { code }),
    disableApp: (code: string) => ask('POST', '/api/mfa/totp/disable', { code }),
    renewRecoveryCodes: () => recoveryCodes('/api/mfa/recovery-codes', {}),

    passkeys: async () =>
      z.object({ passkeys: z.array(passkey) }).parse(await ask('GET', '/api/passkeys')).passkeys,
    passkeyOptions: () => ask('POST', '/api/passkeys/register-options', {}),
    /** The first one comes with recovery codes. */
    addPasskey: (given: { response: unknown; name: string }) =>
      recoveryCodes('/api/passkeys/register', given),
    renamePasskey: (id: string, name: string) => ask('PATCH', `/api/passkeys/${id}`, { name }),
    removePasskey: (id: string) => ask('DELETE', `/api/passkeys/${id}`),

    sessions: async () =>
      z.object({ sessions: z.array(session) }).parse(await ask('GET', '/api/sessions')).sessions,
    endSession: (id: string) => ask('DELETE', `/api/sessions/${id}`),
    endOthers: async () => ended.parse(await ask('POST', '/api/sessions/end-others', {})).ended,
  };
}
