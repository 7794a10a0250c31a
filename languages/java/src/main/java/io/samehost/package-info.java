/**
 * Connects gRPC clients and servers over Unix domain sockets, with {@link io.samehost.SocketServer}
 * and {@link io.samehost.SocketChannelBuilder}.
 *
 * <p>Both follow PROTOCOL.md of the project samehost, so the other side may use any language. The
 * classes have three layers:
 *
 * <ul>
 *   <li>Connect: {@code SocketChannelBuilder}, {@code BrokenConnections}; {@code Diagnosis} finds
 *       out why a server cannot be reached.
 *   <li>Listen safely: {@code SocketFile} with {@code SocketLock}, {@code Folder}, {@code
 *       PrivateFolder}, {@code PublicNames} and {@code PathState}.
 *   <li>Lose no call: {@code SocketServer} and {@code SecondPing} drain; {@code Takeover}, {@code
 *       Predecessor} and {@code Successors} hand the path over; {@code RemovalWatch} notices a
 *       removed socket.
 * </ul>
 */
package io.samehost;
