import { findGoneIds, planAct } from './act-plan.ts';
import { MappingFault } from './convert.ts';
import { concernsStore } from './creates.ts';
import type { LocalRefusal } from './ledger.ts';
import type { Knowledge, Plan, Planner } from './plan.ts';
import { openOf, refusalOf } from './plan.ts';
import { planRecord, settle } from './record-plan.ts';
import type { Unit } from './units.ts';

/** Turns units into batches. Reads what it must know through `Knowledge`; writes nothing but what it remembers. */

/** Plans units in their order. What cannot be planned is refused by itself, whatever the cause; the others go on. */
export function planUnits(units: readonly Unit[], knowledge: Knowledge): Plan {
  const plan: Plan = { creates: [], batches: [], refusals: [], anew: [], settled: [] };
  const planner: Planner = { plan, knowledge, created: new Map(), whole: undefined };
  findGoneIds(knowledge, units);
  for (const unit of units) {
    planner.whole = undefined;
    try {
      if (unit.kind === 'act') planAct(planner, unit);
      else planRecord(planner, unit);
    } catch (error) {
      if (concernsStore(error)) throw error;
      const refusal = refusalOf(knowledge, unit, reasonOf(error));
      if (unit.kind === 'record') settle(planner, unit, refusal.key);
      plan.refusals.push({ ...refusal, ...openOf(planner) });
    }
  }
  return plan;
}

function reasonOf(error: unknown): Pick<LocalRefusal, 'reason' | 'detail'> {
  const detail = error instanceof Error ? error.message : String(error);
  return { reason: error instanceof MappingFault ? 'unmappable' : 'failed', detail };
}
