package nibble.pack.gguf;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import java.util.function.DoubleConsumer;
import java.util.function.Supplier;
import java.util.function.UnaryOperator;
import nibble.convert.BadCheckpointException;
import nibble.convert.Checkpoint;
import nibble.convert.HeadRows;
import nibble.convert.LinearModule;
import nibble.convert.LlamaConfig;
import nibble.convert.LlamaLinear;
import nibble.convert.OutputException;
import nibble.convert.OutputFolder;
import nibble.convert.Rope;
import nibble.convert.Shape;
import nibble.convert.TensorNames;
import nibble.convert.TensorView;
import nibble.convert.gguf.GgufNames;
import nibble.convert.gguf.GgufType;
import nibble.convert.gguf.GgufWriter;
import nibble.convert.gguf.RopeFactors;
import nibble.convert.vocabulary.Vocabulary;
import nibble.convert.vocabulary.VocabularyReader;
import nibble.pack.ConversionReport;
import nibble.pack.PackedLinears;
import nibble.pack.QuantizedLinear;

/**
 * Writes a checkpoint as one GGUF file, a tensor at a time. Weights are rounded from the numbers the source holds; a 4-bit
 * source keeps its codes and scales in {@link GgufMix#Q4_1}.
 */
public final class GgufExporter {
    /** Rows that one thread encodes at a time; their bytes wait in memory for their turn. */
    private static final int ROWS = 64;

    /** A tensor of the file and how to get its bytes. */
    private record Item(GgufWriter.Entry entry, Supplier<Body> body) {}

    /** Gives the bytes of a row; several threads ask at once. */
    private interface Body {
        void row(long row, byte[] into);
    }

    private final Checkpoint source;
    private final LlamaConfig config;
    private final GgufMix mix;

    private GgufExporter(Checkpoint source, GgufMix mix) {
        this.source = source;
        this.config = source.config();
        this.mix = mix;
    }

    /**
     * Writes {@code source} as {@code NAME-MIX.gguf} into the folder {@code out}, which appears whole or not at all.
     *
     * @param out must not exist yet, or be empty
     * @param threads that encode
     * @param progress told the fraction done, 0 to 1
     * @throws BadCheckpointException if a weight is not finite, or the tokenizer or rope scaling has no form in GGUF
     * @throws OutputException if the folder is occupied or the disk is full or refuses
     */
    public static ConversionReport export(Checkpoint source, Path out, GgufMix mix, int threads, DoubleConsumer progress) {
        return new GgufExporter(source, mix).run(out, threads, progress);
    }

    private ConversionReport run(Path out, int threads, DoubleConsumer progress) {
        long start = System.nanoTime();
        Vocabulary vocabulary = VocabularyReader.read(source);
        String name = String.valueOf(source.folder().toAbsolutePath().normalize().getFileName()).replaceFirst("\\.gguf$", "");
        List<Item> items = items();
        List<GgufWriter.Entry> entries = items.stream().map(Item::entry).toList();
        long bytes = entries.stream().mapToLong(GgufWriter.Entry::bytes).sum();
        long fileBytes;
        try (OutputFolder folder = OutputFolder.begin(out);
                ExecutorService workers = Executors.newFixedThreadPool(threads)) {
            Path file = folder.path().resolve(name + "-" + mix + ".gguf");
            requireSpace(folder.path(), bytes);
            try (GgufWriter writer = GgufWriter.create(
                    file, MetadataOf.checkpoint(source, name, mix, vocabulary), entries)) {
                long done = 0;
                for (Item item : items) {
                    write(writer, item, workers, threads);
                    done += item.entry().bytes();
                    progress.accept((double) done / bytes);
                }
                writer.finish();
            }
            fileBytes = Files.size(file);
            folder.commit();
        } catch (IOException e) {
            throw OutputException.of(out, "measuring the output", e);
        }
        return new ConversionReport(
                config.quantization().map(q -> q.method() + ", " + q.bits() + " bits").orElse("dense " + config.dtype()),
                "GGUF " + mix,
                source.tensorBytes(),
                fileBytes,
                items.size(),
                List.of(),
                List.of(),
                MetadataOf.notes(config),
                (System.nanoTime() - start) / 1e9);
    }

    private static void requireSpace(Path folder, long bytes) throws IOException {
        long usable = Files.getFileStore(folder).getUsableSpace();
        if (usable < bytes) {
            throw new OutputException(
                    folder, "the file takes " + bytes + " bytes, " + usable
                            + " are free on this disk; free some space or choose another disk");
        }
    }

    private List<Item> items() {
        List<Item> items = new ArrayList<>();
        items.add(matrix("token_embd.weight", TensorNames.EMBEDDING, isExact() ? GgufType.F16 : mix.embedding(config)));
        if (config.rope().scaling() instanceof Rope.Llama3 scaling) {
            float[] factors = RopeFactors.of(scaling, config.rope().theta(), config.headDim());
            items.add(new Item(
                    new GgufWriter.Entry("rope_freqs.weight", GgufType.F32, Shape.of(factors.length)),
                    () -> (_, into) -> BlockEncoder.encode(GgufType.F32, factors, into)));
        }
        for (int layer = 0; layer < config.layers(); layer++) {
            String block = "blk." + layer + ".";
            items.add(norm(block + "attn_norm.weight", TensorNames.inputNorm(layer)));
            items.add(norm(block + "ffn_norm.weight", TensorNames.postAttentionNorm(layer)));
            if (config.architecture().normalizesHeads()) {
                items.add(norm(block + "attn_q_norm.weight", TensorNames.queryNorm(layer)));
                items.add(norm(block + "attn_k_norm.weight", TensorNames.keyNorm(layer)));
            }
            for (LinearModule module : config.modules()) {
                items.add(linear(block + GgufNames.linear(module) + ".weight", module, layer));
                for (LlamaLinear part : module.parts()) {
                    config.bias(part, layer)
                            .ifPresent(bias -> items.add(bias(block + GgufNames.bias(part), bias.name(), part)));
                }
            }
        }
        items.add(norm("output_norm.weight", TensorNames.FINAL_NORM));
        if (!config.tiedEmbeddings()) {
            items.add(matrix("output.weight", TensorNames.HEAD, isExact() ? GgufType.F16 : mix.head(config)));
        }
        return items;
    }

    /** Whether codes and scales are kept, and then the tensors that are not 4-bit too. */
    private boolean isExact() {
        return mix == GgufMix.Q4_1 && config.quantization().isPresent();
    }

    /** A norm is its gain in GGUF, whatever the checkpoint stores. */
    private Item norm(String name, String from) {
        float offset = config.architecture().normOffset();
        return vector(name, from, values -> {
            for (int i = 0; i < values.length; i++) {
                values[i] += offset;
            }
            return values;
        });
    }

    private Item bias(String name, String from, LlamaLinear linear) {
        return vector(name, from, values -> interleaves(linear) ? interleaved(values) : values);
    }

    private float[] interleaved(float[] halves) {
        float[] result = new float[halves.length];
        for (int i = 0; i < halves.length; i++) {
            result[i] = halves[(int) HeadRows.halves(i, config.headDim())];
        }
        return result;
    }

    private Item vector(String name, String from, UnaryOperator<float[]> change) {
        Shape shape = source.stored(from).orElseThrow().spec().shape();
        WeightRows rows = (row, into) -> {
            checked(WeightRows.of(source.tensor(from)), from).read(row, into);
            System.arraycopy(change.apply(into.clone()), 0, into, 0, into.length);
        };
        return new Item(new GgufWriter.Entry(name, GgufType.F32, shape), () -> encoder(GgufType.F32, shape, rows));
    }

    /** Whether the rows of a linear are reordered. */
    private boolean interleaves(LlamaLinear linear) {
        return (linear == LlamaLinear.Q || linear == LlamaLinear.K)
                && GgufNames.interleavesHeads(config.architecture());
    }

    private Item matrix(String name, String from, GgufType type) {
        Shape shape = source.stored(from).orElseThrow().spec().shape();
        return new Item(
                new GgufWriter.Entry(name, type, shape),
                () -> encoder(type, shape, checked(WeightRows.of(source.tensor(from)), from)));
    }

    private Item linear(String name, LinearModule module, int layer) {
        GgufType type = mix.linear(module, layer, config);
        Shape shape = Shape.of(config.outFeatures(module), config.inFeatures(module));
        return new Item(new GgufWriter.Entry(name, type, shape), () -> body(module, layer, type, shape));
    }

    private Body body(LinearModule module, int layer, GgufType type, Shape shape) {
        // Where heads are reordered no linears are fused.
        boolean heads = !module.isFused() && interleaves(module.parts().getFirst());
        if (config.quantization().isPresent()) {
            var packed = PackedLinears.read(source, module, layer);
            if (isExact() && type == GgufType.Q4_1 && packed instanceof QuantizedLinear plain) {
                ExactQ4 exact = new ExactQ4(plain);
                return (row, into) -> exact.row(heads ? HeadRows.halves(row, config.headDim()) : row, into);
            }
            return encoder(type, shape, order(WeightRows.of(packed), heads));
        }
        TensorView weight = source.tensor(module.name(layer) + ".weight");
        return encoder(type, shape, order(checked(WeightRows.of(weight), weight.name()), heads));
    }

    private WeightRows order(WeightRows rows, boolean heads) {
        return heads ? rows.interleaved(config.headDim()) : rows;
    }

    private WeightRows checked(WeightRows rows, String name) {
        return (row, into) -> {
            rows.read(row, into);
            for (int i = 0; i < into.length; i++) {
                if (!Float.isFinite(into[i])) {
                    throw new BadCheckpointException(
                            source.fileOf(name), "tensor " + name + " element [" + row + ", " + i + "] is " + into[i]
                                    + "; finite weights are needed. The file may be damaged: download it again");
                }
            }
        };
    }

    private static Body encoder(GgufType type, Shape shape, WeightRows rows) {
        int columns = Math.toIntExact(shape.dim(shape.rank() - 1));
        return (row, into) -> {
            float[] values = new float[columns];
            rows.read(row, values);
            BlockEncoder.encode(type, values, into);
        };
    }

    private static void write(GgufWriter writer, Item item, ExecutorService workers, int threads) {
        Body body = item.body().get();
        Shape shape = item.entry().shape();
        long rows = shape.rank() == 1 ? 1 : shape.dim(0);
        int rowBytes = Math.toIntExact(item.entry().type().bytes(shape.dim(shape.rank() - 1)));
        for (long first = 0; first < rows; first += (long) ROWS * threads) {
            List<Future<byte[]>> parts = new ArrayList<>();
            for (long row = first; row < Math.min(rows, first + (long) ROWS * threads); row += ROWS) {
                long from = row;
                int count = (int) Math.min(rows - from, ROWS);
                parts.add(workers.submit(() -> encode(body, from, count, rowBytes)));
            }
            for (Future<byte[]> part : parts) {
                byte[] bytes = result(part);
                writer.write(bytes, bytes.length);
            }
        }
    }

    private static byte[] encode(Body body, long from, int count, int rowBytes) {
        byte[] all = new byte[count * rowBytes];
        byte[] row = new byte[rowBytes];
        for (int i = 0; i < count; i++) {
            Arrays.fill(row, (byte) 0);
            body.row(from + i, row);
            System.arraycopy(row, 0, all, i * rowBytes, rowBytes);
        }
        return all;
    }

    private static byte[] result(Future<byte[]> part) {
        try {
            return part.get();
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
            throw new IllegalStateException("interrupted", e);
        } catch (ExecutionException e) {
            if (e.getCause() instanceof RuntimeException failed) {
                throw failed;
            }
            throw new IllegalStateException(e.getCause());
        }
    }
}
