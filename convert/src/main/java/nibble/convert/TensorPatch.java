package nibble.convert;

import java.io.IOException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.nio.ByteBuffer;
import java.nio.channels.FileChannel;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.util.List;
import java.util.Set;
import java.util.TreeSet;
import java.util.function.Consumer;
import java.util.stream.Stream;
import nibble.checkpoint.safetensors.PlannedFile;
import nibble.checkpoint.safetensors.SafetensorsFile;
import nibble.checkpoint.safetensors.ShardPlan;
import nibble.checkpoint.safetensors.ShardedWriter;
import nibble.checkpoint.tensor.TensorSpec;
import nibble.files.output.Durable;
import nibble.files.output.OutputException;
import nibble.pack.layout.PackedTensor;

/**
 * Holds new values for some tensors of a checkpoint that is whole but not yet under its name: durable in a folder of
 * its own first, then written over the old ones. A process that ends in between repeats the second step.
 */
public final class TensorPatch {
    private final Path folder;

    /**
     * Makes an empty patch.
     *
     * @param folder of the patch itself; need not exist
     */
    public TensorPatch(Path folder) {
        this.folder = folder;
    }

    /**
     * Writes the values down, durably, in place of what was there.
     *
     * @param plan of the checkpoint
     * @param names of all tensors of the patch
     * @param values hands over each of them, in any order
     * @return the file
     */
    public Path save(CheckpointPlan plan, Set<String> names, Consumer<Consumer<PackedTensor>> values) {
        remove();
        List<TensorSpec> specs = plan.tensors().stream()
                .filter(spec -> names.contains(spec.name()))
                .toList();
        if (specs.size() != names.size()) {
            Set<String> others = new TreeSet<>(names);
            specs.forEach(spec -> others.remove(spec.name()));
            throw new IllegalArgumentException("tensors " + others + " are not part of the checkpoint");
        }
        try {
            Files.createDirectories(folder);
        } catch (IOException e) {
            throw OutputException.of(folder, "creating", e);
        }
        try (ShardedWriter writer = new ShardedWriter(folder, ShardPlan.of(specs, Long.MAX_VALUE))) {
            values.accept(tensor -> writer.write(tensor.name(), tensor.data()));
            writer.finish();
        }
        return file();
    }

    /** Returns the file that {@link #save} writes. */
    public Path file() {
        return folder.resolve("model.safetensors");
    }

    /** Names of the tensors that {@link #save} wrote. */
    public Set<String> names() {
        try (Arena arena = Arena.ofConfined()) {
            return Set.copyOf(SafetensorsFile.open(file(), arena).names());
        }
    }

    /**
     * Writes the values over those of a checkpoint, durably.
     *
     * @param checkpoint folder with all files of the plan under their names
     */
    public void apply(Path checkpoint, CheckpointPlan plan) {
        try (Arena arena = Arena.ofConfined()) {
            SafetensorsFile values = SafetensorsFile.open(file(), arena);
            for (PlannedFile planned : plan.shards().files()) {
                Path shard = checkpoint.resolve(planned.name());
                List<PlannedFile.Slot> slots = planned.slots().stream()
                        .filter(slot -> values.find(slot.tensor()).isPresent())
                        .toList();
                if (slots.isEmpty()) {
                    continue;
                }
                try (FileChannel channel = FileChannel.open(shard, StandardOpenOption.WRITE)) {
                    for (PlannedFile.Slot slot : slots) {
                        write(
                                channel,
                                slot.offset(),
                                values.tensor(slot.tensor()).data());
                    }
                    channel.force(true);
                } catch (IOException e) {
                    throw OutputException.of(shard, "writing the tuned tensors", e);
                }
            }
        }
    }

    private static void write(FileChannel channel, long offset, MemorySegment data) throws IOException {
        long done = 0;
        while (done < data.byteSize()) {
            ByteBuffer piece = data.asSlice(done, Math.min(1 << 24, data.byteSize() - done))
                    .asByteBuffer();
            done += channel.write(piece, offset + done);
        }
    }

    /** Deletes what {@link #save} wrote. */
    public void remove() {
        if (!Files.exists(folder)) {
            return;
        }
        try (Stream<Path> files = Files.list(folder)) {
            for (Path file : files.toList()) {
                Files.delete(file);
            }
            Durable.sync(folder);
        } catch (IOException e) {
            throw OutputException.of(folder, "deleting", e);
        }
    }
}
