package nibble.convert;

import java.io.IOException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.nio.ByteBuffer;
import java.nio.channels.FileChannel;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.SequencedMap;
import nibble.checkpoint.Checkpoint;
import nibble.checkpoint.SideFiles;
import nibble.checkpoint.model.LinearModule;
import nibble.checkpoint.model.QuantizedFormat;
import nibble.checkpoint.safetensors.ShardedWriter;
import nibble.checkpoint.tensor.TensorSpec;
import nibble.files.digest.Sha256;
import nibble.files.output.OutputException;
import nibble.pack.QuantizedLinear;
import nibble.pack.WeightReader;
import nibble.pack.layout.AwqLayout;
import nibble.pack.layout.PackedLinears;
import nibble.pack.layout.PackedTensor;

/**
 * Writes a quantized checkpoint into a folder: shards and index, config.json and the files beside it, and the source's side files
 * byte for byte. Use from one thread at a time; {@link #close()} without {@link #finish()} leaves no shard behind, unless
 * they are kept for a later process ({@link #keeping}).
 */
public final class CheckpointWriter implements AutoCloseable {
    private final Checkpoint source;
    private final Path folder;
    private final CheckpointPlan plan;
    private final ShardedWriter shards;
    private final SequencedMap<String, byte[]> madeFiles;

    /**
     * @param source gives the tensors that stay fp16 and the side files
     * @param folder an existing folder, best one that appears under its final name only when all is done
     */
    public CheckpointWriter(Checkpoint source, Path folder, CheckpointPlan plan) {
        this(source, folder, plan, new ShardedWriter(folder, plan.shards()));
    }

    private CheckpointWriter(Checkpoint source, Path folder, CheckpointPlan plan, ShardedWriter shards) {
        this.source = source;
        this.folder = folder;
        this.plan = plan;
        this.shards = shards;
        this.madeFiles = source.madeFiles();
    }

    /**
     * Returns a writer that takes over what an earlier one of the same plan left, and leaves its own; see {@link
     * ShardedWriter#keeping}.
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

    /** Returns the tensors of a quantized module in the layout of {@code format}. */
    public static List<PackedTensor> pack(
            QuantizedFormat format, LinearModule module, int layer, QuantizedLinear weights) {
        List<MemorySegment> data = PackedLinears.pack(format, weights, false);
        List<TensorSpec> specs = format.tensors(
                module.name(layer), weights.outFeatures(), weights.inFeatures(), weights.groups(), false);
        List<PackedTensor> tensors = new ArrayList<>();
        for (int i = 0; i < data.size(); i++) {
            tensors.add(new PackedTensor(specs.get(i).name(), data.get(i)));
        }
        return tensors;
    }

    /** Returns a tensor of fp16 bits, as a norm or a bias with scales folded in. */
    public static PackedTensor pack(String name, short[] halves) {
        return new PackedTensor(name, AwqLayout.littleEndian(halves.clone()));
    }

    /** Writes a tensor. */
    public void write(PackedTensor tensor) {
        shards.write(tensor.name(), tensor.data());
    }

    /** Writes the tensors of a quantized module. */
    public void write(LinearModule module, int layer, QuantizedLinear weights) {
        pack(plan.format(), module, layer, weights).forEach(this::write);
    }

    /** Writes a tensor of the source as fp16. */
    public void carry(String name) {
        carry(name, new Sha256());
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
        Path file = folder;
        try {
            file = folder.resolve("config.json");
            force(file, plan.configJson());
            for (Map.Entry<String, String> beside : plan.beside().entrySet()) {
                file = folder.resolve(beside.getKey());
                force(file, beside.getValue());
            }
            for (Path side : source.sideFiles()) {
                file = folder.resolve(SideFiles.name(source.folder(), side));
                SideFiles.copy(side, file);
            }
            for (var made : madeFiles.entrySet()) {
                file = folder.resolve(made.getKey());
                Files.write(file, made.getValue());
            }
        } catch (IOException e) {
            throw OutputException.of(file, "writing", e);
        }
    }

    private static void force(Path file, String text) throws IOException {
        try (FileChannel channel = FileChannel.open(
                file, StandardOpenOption.CREATE, StandardOpenOption.TRUNCATE_EXISTING, StandardOpenOption.WRITE)) {
            ByteBuffer bytes = ByteBuffer.wrap(text.getBytes(StandardCharsets.UTF_8));
            while (bytes.hasRemaining()) {
                channel.write(bytes);
            }
            channel.force(true);
        }
    }

    @Override
    public void close() {
        shards.close();
    }
}
