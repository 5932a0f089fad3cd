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

function compose(to: string, subject: string, paragraphs: string[]): Mail {
  const html = paragraphs.map((paragraph) => `<p>${escapeHtml(paragraph)}</p>`).join('\n');
  return {
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
    .replaceAll('"', '&quot;');
}
