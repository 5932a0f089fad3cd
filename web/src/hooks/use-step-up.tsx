import {
  createContext,
  lazy,
  Suspense,
  use,
  useCallback,
  useMemo,
  useRef,
  useState,
  type ReactNode,
} from 'react';
import { ApiError, type Session } from '../../../sdk/index.ts';
import { codeOf } from '../format.ts';
import { createAccount, type Account } from '../model/account.ts';
import { Declined } from '../model/declined.ts';
import { useSession } from './use-session.tsx';

const StepUpDialog = lazy(async () => ({
  default: (await import('../components/step-up-dialog.tsx')).StepUpDialog,
}));

interface Question {
  promise: Promise<void>;
  answer: (proved: boolean) => void;
}

const context = createContext<Session['request'] | null>(null);

/** Where the gateway wants to know again who somebody is, they are asked, and what they began is done after all. */
export function StepUpProvider({ children }: { children: ReactNode }) {
  const { session } = useSession();
  const [asking, setAsking] = useState<{ methods: readonly string[] | undefined }>();
  // What is refused while the question is open waits for the same answer.
  const question = useRef<Question>(undefined);

  const prove = useCallback((error: unknown): Promise<void> => {
    question.current ??= createQuestion();
    setAsking({ methods: methodsOf(error) });
    return question.current.promise;
  }, []);
  const close = useCallback((proved: boolean) => {
    question.current?.answer(proved);
    question.current = undefined;
    setAsking(undefined);
  }, []);
  const ask = useCallback(
    async <T,>(method: string, path: string, body?: unknown): Promise<T> => {
      try {
        return await session.request<T>(method, path, body);
      } catch (error) {
        if (codeOf(error) !== 'reauthentication_required') throw error;
        await prove(error);
        return session.request<T>(method, path, body);
      }
    },
    [session, prove],
  );

  return (
    <context.Provider value={ask}>
      {children}
      {asking ? (
        <Suspense>
          <StepUpDialog methods={asking.methods} onClose={close} />
        </Suspense>
      ) : null}
    </context.Provider>
  );
}

/** An authenticated call that may ask the person first; rejects with Declined when they would not say. */
export function useAsk(): Session['request'] {
  const value = use(context);
  if (!value) throw new Error('useAsk needs a StepUpProvider above it');
  return value;
}

export function useAccount(): Account {
  const ask = useAsk();
  return useMemo(() => createAccount(ask), [ask]);
}

/** What counts here as a proof, where the gateway says: the password alone does not change a second factor. */
function methodsOf(error: unknown): readonly string[] | undefined {
  const methods = error instanceof ApiError ? error.extensions['methods'] : undefined;
  return Array.isArray(methods) ? methods.filter((method) => typeof method === 'string') : undefined;
}

function createQuestion(): Question {
  let answer: Question['answer'] = () => undefined;
  const promise = new Promise<void>((resolve, reject) => {
    answer = (proved) => (proved ? resolve() : reject(new Declined()));
  });
  return { promise, answer };
}
