/**
 * Serves and calls gRPC on Unix domain sockets: {@link io.samehost.SocketServer} and {@link
 * io.samehost.SocketChannelBuilder}.
 *
 * <p>Both keep PROTOCOL.md of the project samehost, so the other side may be of any language. The
 * layers are in classes of their own:
 *
 * <ul>
 *   <li>Dial: {@code SocketChannelBuilder}, {@code BrokenConnections}; {@code Diagnosis} finds out
 *       why there is no server.
 *   <li>Listen safely: {@code SocketFile} with {@code SocketLock}, {@code Folder}, {@code
 *       PrivateFolder}, {@code PublicNames} and {@code PathState}.
 *   <li>Lose no call: {@code SocketServer} and {@code SecondPing} drain; {@code Takeover}, {@code
 *       Predecessor} and {@code Successors} hand the path over; {@code RemovalWatch}.
 * </ul>
 */
package io.samehost;
