export { parseAddress } from "./address.js";
export { diagnose, probe } from "./diagnose.js";
export * from "./errors.js";
export { type Bindable, listen, type Listener, type ListenOptions } from "./listen.js";
