package nibble.pack;

import java.io.IOException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.nio.ByteBuffer;
import java.nio.channels.FileChannel;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import nibble.convert.Checkpoint;
import nibble.convert.LlamaLinear;
import nibble.convert.OutputException;
import nibble.convert.ShardedWriter;
import nibble.convert.TensorNames;

/**
 * Writes an AWQ checkpoint into a folder: shards and index, config.json, quant_config.json, and the source's side files
 * byte for byte. Use from one thread at a time; {@link #close()} without {@link #finish()} leaves no shard behind.
 */
public final class AwqCheckpointWriter implements AutoCloseable {
    private final Checkpoint source;
    private final Path folder;
    private final AwqCheckpointPlan plan;
    private final ShardedWriter shards;

    /**
     * @param source gives the tensors that stay fp16 and the side files
     * @param folder an existing folder, best one that appears under its final name only when all is done
     */
    public AwqCheckpointWriter(Checkpoint source, Path folder, AwqCheckpointPlan plan) {
        this.source = source;
        this.folder = folder;
        this.plan = plan;
        this.shards = new ShardedWriter(folder, plan.shards());
    }

    /** Writes the three tensors of a quantized linear. */
    public void write(LlamaLinear linear, int layer, QuantizedLinear weights) {
        AwqLayout.AwqTensors packed = AwqLayout.pack(weights);
        String module = linear.module(layer);
        shards.write(module + ".qweight", packed.qweight());
        shards.write(module + ".qzeros", packed.qzeros());
        shards.write(module + ".scales", packed.scales());
    }

    /** Writes a tensor of fp16 bits, as a norm with scales folded in. */
    public void write(String name, short[] halves) {
        shards.write(name, AwqLayout.littleEndian(halves.clone()));
    }

    /** Writes a tensor of the source as fp16. */
    public void carry(String name) {
        try (Arena arena = Arena.ofConfined()) {
            MemorySegment half = WeightReader.half(source.tensor(name), source.fileOf(name), arena);
            shards.write(name, half);
        }
    }

    /** Writes what is not part of a layer: embedding, final norm and, unless tied to the embedding, the head. */
    public void carryOuterTensors() {
        carry(TensorNames.EMBEDDING);
        carry(TensorNames.FINAL_NORM);
        if (!source.config().tiedEmbeddings()) {
            carry(TensorNames.HEAD);
        }
    }

    /**
     * Completes the shards and writes the index, the two config files and the side files.
     *
     * @throws OutputException if the disk is full or refuses
     */
    public void finish() {
        shards.finish();
        Path file = folder;
        try {
            file = folder.resolve("config.json");
            force(file, plan.configJson());
            file = folder.resolve("quant_config.json");
            force(file, plan.quantConfigJson());
            for (Path side : source.sideFiles()) {
                file = folder.resolve(side.getFileName());
                Files.copy(side, file);
            }
            for (var made : source.madeFiles().entrySet()) {
                file = folder.resolve(made.getKey());
                Files.write(file, made.getValue());
            }
        } catch (IOException e) {
            throw OutputException.of(file, "writing", e);
        }
    }

    private static void force(Path file, String text) throws IOException {
        try (FileChannel channel =
                FileChannel.open(file, StandardOpenOption.CREATE_NEW, StandardOpenOption.WRITE)) {
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
