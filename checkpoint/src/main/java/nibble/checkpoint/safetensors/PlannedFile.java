package nibble.checkpoint.safetensors;

import java.util.ArrayList;
import java.util.List;
import nibble.checkpoint.tensor.TensorSpec;

/**
 * Plans a file of tensors, known to the byte before anything is written.
 *
 * @param name its name in the output folder
 * @param header everything before the data
 * @param slots where its tensors lie, in the order of their data
 * @param bytes length of the whole file
 */
public record PlannedFile(String name, byte[] header, List<Slot> slots, long bytes) {
    public PlannedFile {
        slots = List.copyOf(slots);
    }

    /**
     * Holds the place of a tensor.
     *
     * @param offset from the beginning of the file
     * @param form type and shape, for messages
     */
    public record Slot(String tensor, long offset, long bytes, String form) {}

    static PlannedFile of(ShardPlan.Shard shard) {
        byte[] header = shard.header();
        List<Slot> slots = new ArrayList<>();
        long offset = header.length;
        for (TensorSpec spec : shard.tensors()) {
            slots.add(new Slot(spec.name(), offset, spec.bytes(), spec.dtype() + " " + spec.shape()));
            offset += spec.bytes();
        }
        return new PlannedFile(shard.fileName(), header, slots, offset);
    }
}
