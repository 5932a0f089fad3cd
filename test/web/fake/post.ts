/** What was mailed, newest last. */
export interface Post {
  send(to: string, text: string): void;
  find(to: string, read: (text: string) => string | undefined): string | undefined;
}

export function createPost(): Post {
  const mails: { to: string; text: string }[] = [];
  return {
    send: (to, text) => void mails.push({ to, text }),
    find: (to, read) =>
      mails
        .filter((mail) => mail.to === to)
        .map(({ text }) => read(text))
        .findLast((found) => found !== undefined),
  };
}
