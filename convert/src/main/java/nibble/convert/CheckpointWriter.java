package nibble.convert;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.nio.file.Path;
import java.util.Arrays;
import nibble.checkpoint.Checkpoint;
import nibble.checkpoint.model.TensorNames;
import nibble.checkpoint.safetensors.ShardedWriter;
import nibble.checkpoint.tensor.DType;
import nibble.files.digest.Sha256;
import nibble.files.output.OutputException;
import nibble.pack.WeightReader;
import nibble.pack.Words;
import nibble.pack.layout.AwqLayout;
import nibble.pack.layout.PackedTensor;

/**
 * Writes a quantized checkpoint into a folder: shards and index, config.json and what lies beside it, and the source's
 * side files byte for byte. Use from one thread at a time.
 */
public final class CheckpointWriter implements AutoCloseable {
    private final Checkpoint source;
    private final Path folder;
    private final CheckpointPlan plan;
    private final ShardedWriter shards;
    private final CheckpointFiles files;

    private CheckpointWriter(Checkpoint source, Path folder, CheckpointPlan plan, ShardedWriter shards) {
        this.source = source;
        this.folder = folder;
        this.plan = plan;
        this.shards = shards;
        this.files = new CheckpointFiles(source, plan.configs());
    }

    /**
     * Returns a writer that takes over what an earlier one of the same plan left, and leaves its own; see {@link
     * ShardedWriter#keeping}.
     *
     * @param source gives the tensors that stay fp16 and the side files
     * @param folder an existing folder, best one that appears under its final name only when all is done
     */
    public static CheckpointWriter keeping(Checkpoint source, Path folder, CheckpointPlan plan) {
        return new CheckpointWriter(source, folder, plan, ShardedWriter.keeping(folder, plan.shards()));
    }

    /**
     * Returns the shards, for what concerns bytes and not tensors' meaning: syncing, hashes, what is written already.
     */
    public ShardedWriter shards() {
        return shards;
    }

    /** Returns a tensor of fp16 bits, as a norm or a bias with scales folded in. */
    public static PackedTensor pack(String name, short[] halves) {
        return new PackedTensor(name, AwqLayout.littleEndian(halves.clone()));
    }

    /** Returns a tensor of numbers in the type that an output has for this name: fp16 or fp32. */
    public static PackedTensor pack(String name, float[] values) {
        if (TensorNames.type(name, DType.F16) == DType.F32) {
            int[] bits = new int[values.length];
            Arrays.setAll(bits, i -> Float.floatToRawIntBits(values[i]));
            return new PackedTensor(name, Words.littleEndian(bits));
        }
        short[] halves = new short[values.length];
        for (int i = 0; i < halves.length; i++) {
            halves[i] = Float.floatToFloat16(values[i]);
        }
        return pack(name, halves);
    }

    /** Writes a tensor. */
    public void write(PackedTensor tensor) {
        shards.write(tensor.name(), tensor.data());
    }

    private void carry(String name, Sha256 sha256) {
        try (Arena arena = Arena.ofConfined()) {
            MemorySegment half = WeightReader.half(source.tensor(name), source.fileOf(name), arena);
            shards.write(name, half);
            sha256.add(half);
        }
    }

    /**
     * Writes what is not part of a layer.
     *
     * @return SHA-256 of the bytes written, in the order of {@link CheckpointPlan#outerTensors}
     */
    public String carryOuterTensors() {
        Sha256 sha256 = new Sha256();
        plan.outerTensors().forEach(name -> carry(name, sha256));
        return sha256.hex();
    }

    /**
     * Completes the shards and writes the index, the config files and the side files.
     *
     * @throws OutputException if the disk is full or refuses
     */
    public void finish() {
        shards.finish();
        files.write(folder);
    }

    @Override
    public void close() {
        shards.close();
    }
}
