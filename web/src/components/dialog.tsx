import { useEffect, useRef, type ReactNode } from 'react';
import { ActionIcon } from '@mantine/core';
import { Icon } from './icon.tsx';

interface DialogProps {
  label: string;
  /** `small`: a question instead of a page. */
  size?: 'small';
  /** However it was closed: by its button, Escape, or a click beside it. */
  onClose: () => void;
  children: ReactNode;
}

export function Dialog({ label, size, onClose, children }: DialogProps) {
  const ref = useRef<HTMLDialogElement>(null);
  useEffect(() => ref.current?.showModal(), []);
  return (
    <dialog
      ref={ref}
      className="dialog"
      data-size={size}
      onClose={onClose}
      onClick={(event) => (event.target === ref.current ? ref.current.close() : undefined)}
      aria-label={label}
    >
      <div className="dialog-body">
        <ActionIcon
          variant="subtle"
          color="gray"
          className="dialog-close"
          aria-label="Close"
          onClick={() => ref.current?.close()}
        >
          <Icon name="close" />
        </ActionIcon>
        {children}
      </div>
    </dialog>
  );
}
