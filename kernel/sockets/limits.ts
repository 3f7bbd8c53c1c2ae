// How large frames may be that others send. The sockets take them before any signature can be looked at; a sender of larger ones is disconnected.

/** Bytes of one frame of a message. JSON beyond it would not fit into one text of V8, and buffers come in frames of their own. */
export const maxFrame = 512 * 2 ** 20;
/** Bytes of a heartbeat, or of the topic of a subscription. */
export const maxSmallFrame = 64 * 2 ** 10;
