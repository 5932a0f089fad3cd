import { Component, type ReactNode } from 'react';
import { Alert, Button } from '@mantine/core';

interface FailureProps {
  children: ReactNode;
}

/** The last resort: a fault in the page itself leaves a way out instead of a blank screen. */
export class Failure extends Component<FailureProps, { failed: boolean }> {
  override state = { failed: false };

  static getDerivedStateFromError(): { failed: boolean } {
    return { failed: true };
  }

  override render(): ReactNode {
    if (!this.state.failed) return this.props.children;
    return (
      <main className="auth">
        <Alert title="This page has stopped" color="red" role="alert">
          <p>Nothing that was sent is lost. Load the page again to go on.</p>
          <Button onClick={() => location.reload()}>Load again</Button>
        </Alert>
      </main>
    );
  }
}
