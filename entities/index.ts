import { ApiKeySecretEntity } from './api-key-secret.ts';
import { ApiKeyEntity } from './api-key.ts';
import { AuditLogEntity } from './audit-log.ts';
import { AuditSealEntity } from './audit-seal.ts';
import { ChangeEntity } from './change.ts';
import { ClientSecretEntity } from './client-secret.ts';
import { ClientEntity } from './client.ts';
import { DeviceEntity } from './device.ts';
import { DeviceCodeEntity } from './device-code.ts';
import { EmailChangeEntity } from './email-change.ts';
import { InvitationEntity } from './invitation.ts';
import { IpRuleEntity } from './ip-rule.ts';
import { JobEntity } from './job.ts';
import { MfaTokenEntity } from './mfa-token.ts';
import { OAuthClientEntity } from './oauth-client.ts';
import { OneTimeCodeEntity } from './one-time-code.ts';
import { PartitionCounterEntity } from './partition-counter.ts';
import { PasskeyChallengeEntity } from './passkey-challenge.ts';
import { PasskeyEntity } from './passkey.ts';
import { PresenceLeaseEntity } from './presence-lease.ts';
import { RateLimitEntity } from './rate-limit.ts';
import { RecordEntity } from './record.ts';
import { RecoveryCodeEntity } from './recovery-code.ts';
import { RefreshTokenEntity } from './refresh-token.ts';
import { RoleEntity } from './role.ts';
import { RoomMemberEntity } from './room-member.ts';
import { RoomEntity } from './room.ts';
import { SessionEntity } from './session.ts';
import { SigningKeyEntity } from './signing-key.ts';
import { SyncBatchEntity } from './sync-batch.ts';
import { SyncClientEntity } from './sync-client.ts';
import { SyncVersionEntity } from './sync-version.ts';
import { TenantEntity } from './tenant.ts';
import { TotpSecretEntity } from './totp-secret.ts';
import { UsedProofEntity } from './used-proof.ts';
import { UserEntity } from './user.ts';

/** Every table, in the order they are explained in docs/ARCHITECTURE.md. */
export const ENTITIES = [
  TenantEntity,
  AuditLogEntity,
  AuditSealEntity,
  SyncVersionEntity,
  SyncClientEntity,
  SyncBatchEntity,
  RecordEntity,
  ChangeEntity,
  PartitionCounterEntity,
  UserEntity,
  RoleEntity,
  InvitationEntity,
  EmailChangeEntity,
  SessionEntity,
  RefreshTokenEntity,
  OAuthClientEntity,
  ClientSecretEntity,
  DeviceEntity,
  ClientEntity,
  ApiKeyEntity,
  ApiKeySecretEntity,
  UsedProofEntity,
  DeviceCodeEntity,
  OneTimeCodeEntity,
  TotpSecretEntity,
  RecoveryCodeEntity,
  PasskeyEntity,
  MfaTokenEntity,
  PasskeyChallengeEntity,
  SigningKeyEntity,
  IpRuleEntity,
  RateLimitEntity,
  JobEntity,
  RoomEntity,
  RoomMemberEntity,
  PresenceLeaseEntity,
];
