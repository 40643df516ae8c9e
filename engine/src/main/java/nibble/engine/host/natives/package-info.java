/**
 * Kernels in C, whose sources are in {@code src/main/native}: the Vector API reaches neither VNNI's nor AMX's
 * instructions. The library of the machine's platform is a resource; without it, the Vector API computes everything.
 */
@org.jspecify.annotations.NullMarked
package nibble.engine.host.natives;
