import { useState } from 'react';
import { Button } from '@mantine/core';

/** Browsers let pages copy only over HTTPS and on the machine itself: elsewhere there is no button. */
export function CopyButton({ text, label }: { text: string; label: string }) {
  const [copied, setCopied] = useState(false);
  if (!window.isSecureContext) return null;
  return (
    <Button
      size="compact-sm"
      variant="default"
      aria-label={label}
      onClick={() => void navigator.clipboard.writeText(text).then(() => setCopied(true))}
      onBlur={() => setCopied(false)}
    >
      {copied ? 'Copied' : 'Copy'}
    </Button>
  );
}
