export { BASE_URL, dial, SocketSessionManager, waitForReady } from "./dial.js";
export { listen } from "./listen.js";
