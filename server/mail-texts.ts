import { randomUUID } from 'node:crypto';
import type { Mail } from './mail.ts';

/** The mails that are sent, each in plain text and HTML. Links come from `base`, which is configuration (S32). */

export function verificationMail(to: { email: string; username: string }, code: string, base: string): Mail {
  return compose(to.email, `Your Sluice code is ${code}`, [
    `Hello ${to.username},`,
    `somebody, probably you, signed up at ${base} with this address and the username "${to.username}".`,
    `Your code: ${code}`,
    'It is good for 24 hours and one use. If it was not you, do nothing: without the code there is no account.',
  ]);
}

export function alreadyRegisteredMail(to: { email: string; username: string }, base: string): Mail {
  return compose(to.email, 'You already have a Sluice account', [
    `Hello ${to.username},`,
    `somebody, probably you, tried to sign up at ${base} with this address. You already have an account there: log in as "${to.username}".`,
    'If it was not you, there is nothing to do: nothing has changed.',
  ]);
}

export function resetMail(to: Person, code: string, base: string): Mail {
  return compose(to.email, `Your Sluice code is ${code}`, [
    greet(to),
    `somebody, probably you, asked at ${base} for a new password for "${to.username}".`,
    `Your code: ${code}`,
    'It is good for 10 minutes and one use. If it was not you, do nothing: your password stays as it is. Nobody from Sluice asks for this code.',
  ]);
}

export function passwordChangedMail(to: Person, base: string): Mail {
  return compose(to.email, 'Your Sluice password has changed', [
    greet(to),
    `the password of "${to.username}" at ${base} has just been changed, and you were logged out elsewhere.`,
    'If it was not you, ask for a new password at once, or tell an administrator.',
  ]);
}

/** To the address that is to go: whoever holds it must agree. */
export function oldAddressMail(to: Person, change: { code: string; newEmail: string }, base: string): Mail {
  return compose(to.email, `Your Sluice code is ${change.code}`, [
    greet(to),
    `somebody, probably you, wants to use ${change.newEmail} instead of this address for "${to.username}" at ${base}.`,
    `Your code from this address: ${change.code}`,
    'It is good for one hour and one use, together with the code that went to the new address. If it was not you, do not use it, change your password and end your other sessions.',
  ]);
}

export function newAddressMail(to: Person, code: string, base: string): Mail {
  return compose(to.email, `Your Sluice code is ${code}`, [
    'Hello,',
    `"${to.username}" wants to use this address at ${base}.`,
    `The code from this address: ${code}`,
    'It is good for one hour and one use, together with the code that went to the old address. If you do not know what this is about, do nothing.',
  ]);
}

/** To an address that has an account already: the answer to who asked tells nothing of it. */
export function addressTakenMail(to: Person, base: string): Mail {
  return compose(to.email, 'Your address was to be used for another account', [
    `Hello ${to.username},`,
    `somebody, perhaps you, wanted to use this address for another account at ${base}. It belongs to "${to.username}" already, and that stays so.`,
    'There is nothing to do.',
  ]);
}

export function addressChangedMail(to: Person, newEmail: string, base: string): Mail {
  return compose(to.email, 'Your Sluice account has another address', [
    greet(to),
    `"${to.username}" at ${base} now uses ${newEmail}. This address was confirmed as well; it gets no more mail.`,
    'If it was not you, tell an administrator at once.',
  ]);
}

export function deactivatedMail(to: Person, base: string): Mail {
  return compose(to.email, 'Your Sluice account is closed', [
    greet(to),
    `"${to.username}" at ${base} has been deactivated, from within the account. Nothing of it works any more; an administrator can bring it back.`,
  ]);
}

/**
 * The token stands behind the #, which browsers keep to themselves: it is in no log of any server. `tenantId` is given where a login
 * has to name it.
 */
export function invitationMail(
  to: { email: string; tenant: string; role: string; tenantId?: number | undefined },
  token: string,
  base: string,
): Mail {
  const site = base.replace(/\/$/, '');
  const link = `${site}/invite#${token}`;
  const { tenantId } = to;
  return compose(to.email, `You are invited to ${oneLine(to.tenant)} on Sluice`, [
    'Hello,',
    `you are invited to "${to.tenant}" at ${base}, as ${to.role}.`,
    `Choose a username and a password here: ${link}`,
    'The link is good for 7 days and one use; whoever has it can take your place, so keep it to yourself. If you did not expect it, do nothing.',
    ...(tenantId === undefined
      ? []
      : [
          `After that you log in at ${site}/login#${tenantId} and, in a terminal, with --tenant-id ${tenantId}: the number of your organisation there is ${tenantId}.`,
        ]),
  ]);
}

/** `change` says what happened: "a second factor was added". */
export function secondFactorMail(to: Person, change: string, base: string): Mail {
  return compose(to.email, `Your Sluice account: ${change}`, [
    greet(to),
    `for "${to.username}" at ${base}: ${change}.`,
    'If it was not you, change your password, look through your second factors, and end your other sessions.',
  ]);
}

/** `by` is the username of the administrator who did it. */
export function factorsRemovedMail(to: Person, by: string, base: string): Mail {
  return compose(to.email, 'Your Sluice account: your second factor was turned off', [
    greet(to),
    `the administrator "${by}" has turned off the second factor of "${to.username}" at ${base}: codes, passkeys and recovery codes. You were logged out everywhere, and the password alone logs in now.`,
    'Log in and add a second factor again. If you have not asked for this, change your password at once and tell another administrator.',
  ]);
}

interface Person {
  email: string;
  username: string;
  display_name?: string | null;
}

/** By the name somebody wants to be called; which account it is about is said by its username. */
function greet({ username, display_name: name }: Person): string {
  return `Hello ${name ?? username},`;
}

/** What goes into a subject: a line break would end the header. */
function oneLine(text: string): string {
  return text.replaceAll(/\p{C}+/gu, ' ').trim();
}

function compose(to: string, subject: string, paragraphs: string[]): Mail {
  const html = paragraphs.map((paragraph) => `<p>${escapeHtml(paragraph)}</p>`).join('\n');
  return {
    id: randomUUID(),
    to,
    subject,
    text: `${paragraphs.join('\n\n')}\n`,
    html: `<!doctype html>\n<html lang="en"><body style="font-family:sans-serif">\n${html}\n</body></html>\n`,
  };
}

function escapeHtml(text: string): string {
  return text
    .replaceAll('&', '&amp;')
    .replaceAll('<', '&lt;')
    .replaceAll('>', '&gt;')
    .replaceAll('"', '&quot;')
    .replaceAll("'", '&#39;');
}
