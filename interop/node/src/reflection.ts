/** grpc.reflection.v1, for tools such as grpcurl. */

import { readFileSync } from "node:fs";

import type { Server } from "@grpc/grpc-js";
import { loadFileDescriptorSetFromBuffer } from "@grpc/proto-loader";
import { ReflectionService } from "@grpc/reflection";

/** Adds reflection for these services. The build writes their descriptors beside this file. */
export function addReflection(server: Server, services: string[]): void {
  const descriptors = readFileSync(new URL("reflection.binpb", import.meta.url));
  new ReflectionService(loadFileDescriptorSetFromBuffer(descriptors), { services }).addToServer(server);
}
