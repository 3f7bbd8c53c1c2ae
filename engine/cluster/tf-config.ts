// Who is in a cluster: TF_CONFIG, the variable in which Kubeflow and the clouds tell each process, or addresses given in code.

/** One process of a cluster. */
export interface Member {
  /** `worker` or `chief` */
  job: string;
  /** within its job */
  index: number;
  /** `host:port` on which its TensorFlow listens */
  address: string;
}

/** The processes of a cluster in the order of their ranks, and which of them this one is. */
export interface Membership {
  members: Member[];
  rank: number;
}

const EXAMPLE = '{"cluster":{"worker":["host:port","host:port"]},"task":{"type":"worker","index":0}}';

// The chief, which older files call master, comes first; TensorFlow's multi-worker strategies rank so too.
const JOBS = ["chief", "master", "worker"];

/** `worker 1 (10.0.0.2:2222)` */
export const nameOf = ({ job, index, address }: Member) => `${job} ${index} (${address})`;

/**
 * Reads TF_CONFIG.
 * @throws Error that names the field which is missing or wrong
 */
export function parseTfConfig(text: string): Membership {
  let config: any;
  try {
    config = JSON.parse(text);
  } catch (error) {
    throw new Error(`TF_CONFIG is not JSON (${(error as Error).message}); it looks like ${EXAMPLE}`);
  }
  const { cluster, task } = Object(config);
  if (!isRecord(cluster)) throw new Error(`TF_CONFIG has no "cluster"; it looks like ${EXAMPLE}`);
  const foreign = Object.keys(cluster).find((job) => !JOBS.includes(job) && job !== "evaluator");
  if (foreign)
    throw new Error(`TF_CONFIG has a job "${foreign}"; collectives run between "worker" and "chief" processes`);
  const members = JOBS.flatMap((job) => {
    const addresses = cluster[job] ?? [];
    if (!Array.isArray(addresses)) throw new Error(`TF_CONFIG: cluster.${job} must be a list of "host:port"`);
    return addresses.map((address, index) => ({ job, index, address }));
  });
  checkAddresses(members, "TF_CONFIG: cluster");
  if (!isRecord(task)) throw new Error(`TF_CONFIG has no "task"; it looks like ${EXAMPLE}`);
  const { type } = task;
  // Kubeflow writes a number; some launchers write it as text.
  const index = Number(task.index ?? Number.NaN);
  if (type === "evaluator")
    throw new Error("TF_CONFIG says that this process is an evaluator, which is outside of the cluster");
  const rank = members.findIndex((member) => member.job === type && member.index === index);
  if (rank >= 0) return { members, rank };
  const there = members.map((member) => `${member.job} ${member.index}`).join(", ");
  throw new Error(`TF_CONFIG: task is ${JSON.stringify(task)}, which is not in the cluster; it has ${there}`);
}

/** A cluster of workers at these addresses, of which this process has that rank. */
export function membership(addresses: string[], rank: number | undefined): Membership {
  const members = addresses.map((address, index) => ({ job: "worker", index, address }));
  checkAddresses(members, "cluster: workers");
  if (!Number.isInteger(rank) || rank! < 0 || rank! >= members.length)
    throw new Error(`cluster: rank is ${rank}; with ${members.length} workers it is 0 to ${members.length - 1}`);
  return { members, rank: rank! };
}

function checkAddresses(members: Member[], where: string) {
  if (members.length === 0) throw new Error(`${where} names no worker; it takes a list of "host:port"`);
  const seen = new Map<string, Member>();
  for (const member of members) {
    const { job, index, address } = member;
    const port = Number(/^(?:\[[0-9a-f:.]+\]|[^\s:/]+):(\d{1,5})$/i.exec(String(address))?.[1]);
    if (typeof address !== "string" || !(port >= 1 && port <= 65_535))
      throw new Error(`${where}: the address of ${job} ${index} is ${JSON.stringify(address)}; it must be "host:port"`);
    const other = seen.get(address);
    if (other)
      throw new Error(`${where}: ${other.job} ${other.index} and ${job} ${index} have one address, ${address}`);
    seen.set(address, member);
  }
}

const isRecord = (value: unknown): value is Record<string, any> =>
  typeof value === "object" && value !== null && !Array.isArray(value);
