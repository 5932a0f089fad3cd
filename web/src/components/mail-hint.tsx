import { Anchor, Text } from '@mantine/core';

/** On the gateway's own machine there is often no mail server: then the mail is printed and kept. */
export function MailHint() {
  if (!/^(localhost|127\.\d+\.\d+\.\d+|\[::1\])$/.test(location.hostname)) return null;
  return (
    <Text size="sm" c="dimmed">
      No mail server set up? Then the gateway prints the mail on its console and keeps it at{' '}
      <Anchor href="/dev/mail" target="_blank" rel="noreferrer" inherit>
        /dev/mail
      </Anchor>
      .
    </Text>
  );
}
