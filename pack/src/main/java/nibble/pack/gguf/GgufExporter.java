package nibble.pack.gguf;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import java.util.function.DoubleConsumer;
import java.util.function.Supplier;
import nibble.convert.BadCheckpointException;
import nibble.convert.Checkpoint;
import nibble.convert.HeadRows;
import nibble.convert.LlamaConfig;
import nibble.convert.LlamaLinear;
import nibble.convert.OutputException;
import nibble.convert.OutputFolder;
import nibble.convert.Rope;
import nibble.convert.Shape;
import nibble.convert.TensorNames;
import nibble.convert.TensorView;
import nibble.convert.gguf.GgufType;
import nibble.convert.gguf.GgufWriter;
import nibble.convert.gguf.RopeFactors;
import nibble.convert.vocabulary.Vocabulary;
import nibble.convert.vocabulary.VocabularyReader;
import nibble.pack.ConversionReport;
import nibble.pack.PackedLinears;
import nibble.pack.QuantizedLinear;
import org.jspecify.annotations.Nullable;

/**
 * Writes a checkpoint as one GGUF file, a tensor at a time. Weights are rounded from the numbers the source holds; a 4-bit
 * source keeps its codes and scales in {@link GgufMix#Q4_1}.
 */
public final class GgufExporter {
    /** Rows that one thread encodes at a time; their bytes wait in memory for their turn. */
    private static final int ROWS = 64;

    /** A tensor of the file and how to get its bytes. */
    private record Item(GgufWriter.Entry entry, Supplier<Body> body) {}

    /** Gives the bytes of rows, one after the other; several threads ask at once. */
    private interface Body {
        void rows(long first, int count, byte[] into);
    }

    private final Checkpoint source;
    private final LlamaConfig config;
    private final GgufMix mix;
    private final Optional<Importance> importance;

    private GgufExporter(Checkpoint source, GgufMix mix, Optional<Importance> importance) {
        this.source = source;
        this.config = source.config();
        this.mix = mix;
        this.importance = importance;
    }

    /** As the other one, without importance. */
    public static ConversionReport export(
            Checkpoint source, Path out, GgufMix mix, int threads, DoubleConsumer progress) {
        return export(source, out, mix, Optional.empty(), threads, progress);
    }

    /**
     * Writes {@code source} as {@code NAME-MIX.gguf} into the folder {@code out}, which appears whole or not at all.
     *
     * @param out must not exist yet, or be empty
     * @param importance by which columns of linears are weighed where the type's scales are searched; embedding and head are
     *     not
     * @param threads that encode
     * @param progress told the fraction done, 0 to 1
     * @throws BadCheckpointException if a weight is not finite, or the tokenizer or rope scaling has no form in GGUF
     * @throws OutputException if the folder is occupied or the disk is full or refuses
     */
    public static ConversionReport export(
            Checkpoint source,
            Path out,
            GgufMix mix,
            Optional<Importance> importance,
            int threads,
            DoubleConsumer progress) {
        return new GgufExporter(source, mix, importance).run(out, threads, progress);
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
                    file, MetadataOf.checkpoint(source, name, mix, vocabulary, importance), entries)) {
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
                    () -> (_, _, into) -> BlockEncoder.encode(GgufType.F32, factors, into)));
        }
        for (int layer = 0; layer < config.layers(); layer++) {
            String block = "blk." + layer + ".";
            items.add(vector(block + "attn_norm.weight", TensorNames.inputNorm(layer)));
            items.add(vector(block + "ffn_norm.weight", TensorNames.postAttentionNorm(layer)));
            for (LlamaLinear linear : LlamaLinear.values()) {
                items.add(linear(tensorName(linear, layer), linear, layer));
            }
        }
        items.add(vector("output_norm.weight", TensorNames.FINAL_NORM));
        if (!config.tiedEmbeddings()) {
            items.add(matrix("output.weight", TensorNames.HEAD, isExact() ? GgufType.F16 : mix.head(config)));
        }
        return items;
    }

    /** GGUF's name of a linear's weight, as {@code blk.0.attn_q.weight}. */
    public static String tensorName(LlamaLinear linear, int layer) {
        String name = switch (linear) {
            case Q -> "attn_q";
            case K -> "attn_k";
            case V -> "attn_v";
            case O -> "attn_output";
            case GATE -> "ffn_gate";
            case UP -> "ffn_up";
            case DOWN -> "ffn_down";
        };
        return "blk." + layer + "." + name + ".weight";
    }

    /** Whether codes and scales are kept, and then the tensors that are not 4-bit too. */
    private boolean isExact() {
        return mix == GgufMix.Q4_1 && config.quantization().isPresent();
    }

    private Item vector(String name, String from) {
        Shape shape = source.stored(from).orElseThrow().spec().shape();
        return new Item(
                new GgufWriter.Entry(name, GgufType.F32, shape),
                () -> encoder(GgufType.F32, shape, null, checked(WeightRows.of(source.tensor(from)), from)));
    }

    private Item matrix(String name, String from, GgufType type) {
        Shape shape = source.stored(from).orElseThrow().spec().shape();
        return new Item(
                new GgufWriter.Entry(name, type, shape),
                () -> encoder(type, shape, null, checked(WeightRows.of(source.tensor(from)), from)));
    }

    private Item linear(String name, LlamaLinear linear, int layer) {
        GgufType type = mix.linear(linear, layer, config);
        Shape shape = Shape.of(config.outFeatures(linear), config.inFeatures(linear));
        float @Nullable [] columns =
                importance.map(found -> found.columns(name, config.inFeatures(linear))).orElse(null);
        return new Item(new GgufWriter.Entry(name, type, shape), () -> body(linear, layer, type, shape, columns));
    }

    private Body body(
            LlamaLinear linear, int layer, GgufType type, Shape shape, float @Nullable [] columns) {
        boolean heads = linear == LlamaLinear.Q || linear == LlamaLinear.K;
        String module = linear.module(layer);
        if (config.quantization().isPresent()) {
            var packed = PackedLinears.read(source, linear, layer);
            if (isExact() && type == GgufType.Q4_1 && packed instanceof QuantizedLinear plain) {
                ExactQ4 exact = new ExactQ4(plain);
                return (first, count, into) -> {
                    byte[] row = new byte[into.length / count];
                    for (int i = 0; i < count; i++) {
                        exact.row(heads ? HeadRows.halves(first + i, config.headDim()) : first + i, row);
                        System.arraycopy(row, 0, into, i * row.length, row.length);
                    }
                };
            }
            return encoder(type, shape, columns, order(WeightRows.of(packed), heads));
        }
        TensorView weight = source.tensor(module + ".weight");
        return encoder(type, shape, columns, order(checked(WeightRows.of(weight), weight.name()), heads));
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

    private static Body encoder(GgufType type, Shape shape, float @Nullable [] importance, WeightRows rows) {
        int columns = Math.toIntExact(shape.dim(shape.rank() - 1));
        return (first, count, into) -> {
            float[] values = new float[count * columns];
            float[] row = new float[columns];
            for (int i = 0; i < count; i++) {
                rows.read(first + i, row);
                System.arraycopy(row, 0, values, i * columns, columns);
            }
            BlockEncoder.encode(type, values, importance, into);
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
                parts.add(workers.submit(() -> {
                    byte[] bytes = new byte[count * rowBytes];
                    body.rows(from, count, bytes);
                    return bytes;
                }));
            }
            for (Future<byte[]> part : parts) {
                byte[] bytes = result(part);
                writer.write(bytes, bytes.length);
            }
        }
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
