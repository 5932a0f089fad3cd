import { AuditLogEntity } from './audit-log.ts';
import { ChangeEntity } from './change.ts';
import { ClientSecretEntity } from './client-secret.ts';
import { JobEntity } from './job.ts';
import { OAuthClientEntity } from './oauth-client.ts';
import { OneTimeCodeEntity } from './one-time-code.ts';
import { PartitionCounterEntity } from './partition-counter.ts';
import { PresenceLeaseEntity } from './presence-lease.ts';
import { RecordEntity } from './record.ts';
import { RefreshTokenEntity } from './refresh-token.ts';
import { RoomMemberEntity } from './room-member.ts';
import { RoomEntity } from './room.ts';
import { SessionEntity } from './session.ts';
import { SigningKeyEntity } from './signing-key.ts';
import { SyncBatchEntity } from './sync-batch.ts';
import { SyncClientEntity } from './sync-client.ts';
import { SyncVersionEntity } from './sync-version.ts';
import { TenantEntity } from './tenant.ts';
import { UserEntity } from './user.ts';

/** Every table, in the order they are explained in docs/ARCHITECTURE.md. */
export const ENTITIES = [
  TenantEntity,
  AuditLogEntity,
  SyncVersionEntity,
  SyncClientEntity,
  SyncBatchEntity,
  RecordEntity,
  ChangeEntity,
  PartitionCounterEntity,
  UserEntity,
  SessionEntity,
  RefreshTokenEntity,
  OAuthClientEntity,
  ClientSecretEntity,
  OneTimeCodeEntity,
  SigningKeyEntity,
  JobEntity,
  RoomEntity,
  RoomMemberEntity,
  PresenceLeaseEntity,
];
