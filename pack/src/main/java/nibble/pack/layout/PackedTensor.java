package nibble.pack.layout;

import java.lang.foreign.MemorySegment;

/**
 * Holds a tensor of the output, ready to be written.
 *
 * @param name as the checkpoint names it
 * @param data little-endian elements, exactly as many bytes as planned
 */
public record PackedTensor(String name, MemorySegment data) {}
