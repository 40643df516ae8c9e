package nibble.convert.gguf;

import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.function.DoubleConsumer;
import java.util.function.LongUnaryOperator;
import java.util.stream.IntStream;
import java.util.stream.Stream;
import nibble.checkpoint.Checkpoint;
import nibble.checkpoint.Fingerprint;
import nibble.checkpoint.gguf.GgufBlocks;
import nibble.checkpoint.gguf.GgufNames;
import nibble.checkpoint.gguf.GgufPlan;
import nibble.checkpoint.gguf.GgufSplit;
import nibble.checkpoint.gguf.GgufType;
import nibble.checkpoint.gguf.RopeFactors;
import nibble.checkpoint.model.Expert;
import nibble.checkpoint.model.Experts;
import nibble.checkpoint.model.Linear;
import nibble.checkpoint.model.LinearModule;
import nibble.checkpoint.model.ModelConfig;
import nibble.checkpoint.model.TensorNames;
import nibble.checkpoint.model.layer.LayerNorm;
import nibble.checkpoint.model.layer.LayerVector;
import nibble.checkpoint.model.layer.Rope;
import nibble.checkpoint.safetensors.PlannedFile;
import nibble.checkpoint.source.BadCheckpointException;
import nibble.checkpoint.tensor.HeadRows;
import nibble.checkpoint.tensor.Shape;
import nibble.checkpoint.vocabulary.Vocabulary;
import nibble.convert.ConversionOptions;
import nibble.convert.ConversionReport;
import nibble.convert.ConversionRun;
import nibble.convert.blocks.ExactRows;
import nibble.convert.blocks.Importance;
import nibble.files.output.OutputException;
import nibble.files.output.StopSignal;
import nibble.pack.QuantizedLinear;
import nibble.pack.layout.PackedLinears;
import org.jspecify.annotations.Nullable;

/**
 * Writes a checkpoint as GGUF, a tensor at a time. Weights are rounded from the numbers the source holds; a 4-bit
 * source keeps its codes and scales in {@link GgufMix#Q4_1}.
 */
public final class GgufExporter {
    private final Checkpoint source;
    private final ModelConfig config;
    private final SourceTensors tensors;
    private final GgufMix mix;
    private final Optional<Importance> importance;

    private GgufExporter(Checkpoint source, GgufMix mix, Optional<Importance> importance) {
        this.source = source;
        this.config = source.config();
        this.tensors = new SourceTensors(source);
        this.mix = mix;
        this.importance = importance;
    }

    /**
     * Exports from the beginning into one file without importance; otherwise like
     * {@link #export(Checkpoint, GgufMix, Optional, ConversionOptions)}.
     */
    public static ConversionReport export(
            Checkpoint source, Path out, GgufMix mix, int threads, DoubleConsumer progress) {
        ConversionOptions options =
                new ConversionOptions(out, Long.MAX_VALUE, threads, false, new StopSignal(), note -> {}, progress);
        return export(source, mix, Optional.empty(), options);
    }

    /**
     * Writes {@code source} as {@code NAME-MIX.gguf}, or as files of limited size, into a folder that appears complete
     * or not at all. An unfinished run stays beside it and can be resumed ({@link ConversionRun}).
     *
     * @param importance weights the columns of linears in the search for scales, but not embedding and head
     * @throws BadCheckpointException if a weight is not finite, or the tokenizer or rope scaling has no form in GGUF
     * @throws OutputException if the folder is occupied or the disk is full or refuses
     */
    public static ConversionReport export(
            Checkpoint source, GgufMix mix, Optional<Importance> importance, ConversionOptions options) {
        return new GgufExporter(source, mix, importance).run(options);
    }

    private ConversionReport run(ConversionOptions options) {
        long start = System.nanoTime();
        Vocabulary vocabulary = VocabularyReader.read(source);
        String name = GgufSplit.model(String.valueOf(
                        source.folder().toAbsolutePath().normalize().getFileName()))
                .replaceFirst("\\.gguf$", "");
        List<GgufItem> items = items();
        long parameters = items.stream()
                .mapToLong(item -> item.entry().shape().elements())
                .sum();
        List<PlannedFile> files = GgufPlan.files(
                name + "-" + mix,
                MetadataOf.checkpoint(source, name, mix, parameters, vocabulary, importance),
                items.stream().map(GgufItem::entry).toList(),
                options.maxShardBytes());
        Map<String, String> decisive = new LinkedHashMap<>();
        decisive.put("--format gguf --type", mix.toString());
        decisive.put(
                "--max-shard-size",
                options.maxShardBytes() == Long.MAX_VALUE ? "one file" : options.maxShardBytes() + " bytes");
        decisive.put("importance", importance.map(Importance::crc32c).orElse("none"));
        try (ExecutorService workers = Executors.newFixedThreadPool(options.threads())) {
            ConversionRun.run(
                    source,
                    Fingerprint.of(decisive, source),
                    new ConversionRun.Output(files, Optional.empty(), folder -> {}),
                    items.stream()
                            .map(item -> item(item, workers, options.threads()))
                            .toList(),
                    options);
        }
        return new ConversionReport(
                config.quantization()
                        .map(q -> q.method() + ", " + q.bits() + " bits")
                        .orElse("dense " + config.dtype()),
                "GGUF " + mix,
                source.tensorBytes(),
                files.stream().mapToLong(PlannedFile::bytes).sum(),
                items.size(),
                List.of(),
                List.of(),
                notes(),
                (System.nanoTime() - start) / 1e9);
    }

    private List<String> notes() {
        return Stream.concat(MetadataOf.notes(config).stream(), TokenizerForm.notes(source).stream())
                .toList();
    }

    private ConversionRun.Item item(GgufItem item, ExecutorService workers, int threads) {
        long inputBytes = item.sources().stream()
                .mapToLong(name -> source.stored(name).orElseThrow().storedBytes())
                .sum();
        return new ConversionRun.Item(List.of(item.entry().name()), item.sources(), inputBytes, sink -> {
            EncodedRows.write(sink, item.entry(), item.body().get(), workers, threads);
            return List.of();
        });
    }

    private List<GgufItem> items() {
        List<GgufItem> items = new ArrayList<>();
        items.add(tensors.matrix(
                "token_embd.weight", TensorNames.EMBEDDING, isExact() ? GgufType.F16 : mix.embedding(config)));
        if (config.rope().scaling() instanceof Rope.Llama3 scaling) {
            items.add(SourceTensors.factors(
                    "rope_freqs.weight", RopeFactors.of(scaling, config.rope().theta(), config.headDim())));
        }
        if (config.rope().scaling() instanceof Rope.LongRope scaling) {
            items.add(SourceTensors.factors("rope_factors_long.weight", RopeFactors.of(scaling.longFactors())));
            items.add(SourceTensors.factors("rope_factors_short.weight", RopeFactors.of(scaling.shortFactors())));
        }
        for (int layer = 0; layer < config.layers(); layer++) {
            String block = "blk." + layer + ".";
            for (LayerNorm norm : LayerNorm.values()) {
                config.norm(norm, layer)
                        .ifPresent(name ->
                                items.add(norm(block + config.architecture().ggufNorm(norm) + ".weight", name)));
            }
            for (LayerVector vector : LayerVector.values()) {
                config.vector(vector, layer)
                        .ifPresent(spec -> items.add(
                                tensors.vector(GgufNames.of(config.architecture(), spec.name()), spec.name(), x -> x)));
            }
            if (config.architecture().headNorm().isStored()) {
                items.add(norm(block + "attn_q_norm.weight", TensorNames.queryNorm(layer)));
                items.add(norm(block + "attn_k_norm.weight", TensorNames.keyNorm(layer)));
            }
            if (config.experts(layer).isPresent()) {
                items.addAll(experts(config.experts(layer).get(), layer));
            }
            for (LinearModule module : config.modules(layer)) {
                if (module.expert().isRouted()) {
                    continue;
                }
                if (module.parts().contains(Linear.KV_B)) {
                    items.addAll(latent(module, layer));
                    continue;
                }
                if (module.isFused() && !GgufNames.fuses(config.architecture())) {
                    for (Linear part : module.parts()) {
                        int firstRow = config.stored(module, part, layer).firstRow();
                        items.add(linear(LinearModule.of(part), module, firstRow, layer));
                    }
                } else {
                    items.add(linear(module, module, 0, layer));
                }
                for (Linear part : module.parts()) {
                    config.bias(part, layer)
                            .ifPresent(bias -> items.add(bias(block + GgufNames.bias(part), bias.name(), part)));
                }
            }
        }
        items.add(norm("output_norm.weight", TensorNames.FINAL_NORM));
        if (config.architecture().biasesNorms()) {
            items.add(tensors.vector("output_norm.bias", TensorNames.FINAL_NORM_BIAS, x -> x));
        }
        if (!config.tiedEmbeddings()) {
            items.add(tensors.matrix("output.weight", TensorNames.HEAD, isExact() ? GgufType.F16 : mix.head(config)));
        }
        if (config.architecture().biasesHead(config.json())) {
            items.add(tensors.vector("output.bias", TensorNames.HEAD_BIAS, x -> x));
        }
        return items;
    }

    /** What a layer's experts are chosen by, and each linear of the routed ones as one tensor. */
    private List<GgufItem> experts(Experts experts, int layer) {
        String block = "blk." + layer + ".";
        List<GgufItem> items = new ArrayList<>();
        items.add(tensors.matrix(block + GgufNames.ROUTER, experts.router(layer), GgufType.F32));
        if (experts.shared().gated()) {
            items.add(tensors.matrix(block + GgufNames.SHARED_GATE, experts.sharedGate(layer), GgufType.F32));
        }
        for (int part = 0; part < 3; part++) {
            int of = part;
            List<LinearModule> modules = IntStream.range(0, experts.count())
                    .mapToObj(index -> experts.modules(new Expert(index)).get(of))
                    .toList();
            items.add(stacked(modules, layer));
            if (experts.biased()) {
                items.add(tensors.stackedVectors(
                        block + GgufNames.linear(modules.getFirst()) + ".bias",
                        modules.stream()
                                .map(module -> module.name(layer) + ".bias")
                                .toList()));
            }
        }
        return items;
    }

    /** The same linear of all routed experts, [experts, out, in]. */
    private GgufItem stacked(List<LinearModule> modules, int layer) {
        LinearModule first = modules.getFirst();
        GgufType type = type(first, first, layer);
        int out = config.outFeatures(first);
        Shape one = Shape.of(out, config.inFeatures(first));
        int rowBytes = Math.toIntExact(type.bytes(config.inFeatures(first)));
        // Missing importance is found before anything is written.
        columns(first, layer, 0, modules);
        return new GgufItem(
                new GgufPlan.Entry(
                        tensorName(first, layer), type, Shape.of(modules.size(), out, config.inFeatures(first))),
                modules.stream()
                        .flatMap(module -> sources(module, layer).stream())
                        .toList(),
                () -> {
                    List<EncodedRows> bodies = IntStream.range(0, modules.size())
                            .mapToObj(i -> body(modules.get(i), 0, layer, type, one, columns(first, layer, i, modules)))
                            .toList();
                    return EncodedRows.stacked(bodies, out, rowBytes);
                });
    }

    private float @Nullable [] columns(LinearModule first, int layer, int expert, List<LinearModule> modules) {
        return importance
                .map(found -> found.columns(tensorName(first, layer), expert, modules.size(), config.inFeatures(first)))
                .orElse(null);
    }

    /** The type of a linear in the file; what is MXFP4 already stays as it is, with whatever mix. */
    private GgufType type(LinearModule named, LinearModule module, int layer) {
        return isMx(module, layer) ? GgufType.MXFP4 : mix.linear(named, layer, config, importance.isPresent());
    }

    private boolean isMx(LinearModule module, int layer) {
        return source.stored(config.spec(module, layer).name())
                .filter(stored -> stored.storage().equals(GgufType.MXFP4.name()))
                .isPresent();
    }

    private List<String> sources(LinearModule module, int layer) {
        String prefix = module.name(layer) + ".";
        return source.names().stream()
                .filter(from -> from.startsWith(prefix) && !from.endsWith(".bias"))
                .toList();
    }

    /** Returns GGUF's name of a linear's weight, as {@code blk.0.attn_q.weight}. */
    public static String tensorName(LinearModule module, int layer) {
        return "blk." + layer + "." + GgufNames.linear(module) + ".weight";
    }

    /** Whether codes and scales are kept, and then the tensors that are not quantized too. */
    private boolean isExact() {
        return config.quantization().filter(mix::keeps).isPresent();
    }

    /** A norm is its gain in GGUF, whatever the checkpoint stores. */
    private GgufItem norm(String name, String from) {
        float offset = config.architecture().normOffset();
        return tensors.vector(name, from, values -> {
            for (int i = 0; i < values.length; i++) {
                values[i] += offset;
            }
            return values;
        });
    }

    private GgufItem bias(String name, String from, Linear linear) {
        return tensors.vector(
                name, from, values -> interleaves(linear) ? HeadRows.interleaved(values, config.headDim()) : values);
    }

    /** Whether the rows of a linear are reordered. */
    private boolean interleaves(Linear linear) {
        return (linear == Linear.Q || linear == Linear.K) && GgufNames.interleavesHeads(config.architecture());
    }

    /**
     * A linear of the file.
     *
     * @param named what the file has
     * @param module of the source that holds it, perhaps fused with others, from a row on
     */
    private GgufItem linear(LinearModule named, LinearModule module, int firstRow, int layer) {
        String name = tensorName(named, layer);
        GgufType type = type(named, module, layer);
        Shape shape = Shape.of(config.outFeatures(named), config.inFeatures(named));
        float @Nullable [] columns = importance
                .map(found -> found.columns(name, config.inFeatures(named)))
                .orElse(null);
        return new GgufItem(
                new GgufPlan.Entry(name, type, shape),
                sources(module, layer),
                () -> body(module, firstRow, layer, type, shape, columns));
    }

    private EncodedRows body(
            LinearModule module, int firstRow, int layer, GgufType type, Shape shape, float @Nullable [] columns) {
        // Where heads are reordered q and k are not fused with others.
        boolean heads = !module.isFused() && interleaves(module.parts().getFirst());
        LongUnaryOperator from = row -> heads ? HeadRows.halves(row, config.headDim()) : firstRow + row;
        return body(module, layer, type, shape, columns, from);
    }

    /** @param from the source's row of each */
    private EncodedRows body(
            LinearModule module,
            int layer,
            GgufType type,
            Shape shape,
            float @Nullable [] columns,
            LongUnaryOperator from) {
        String label = module.name(layer) + ".weight";
        if (isExact() && PackedLinears.read(source, module, layer) instanceof QuantizedLinear plain) {
            Optional<ExactRows> exact = ExactRows.of(plain, type);
            if (exact.isPresent()) {
                return (first, count, into) -> exact.get().rows(first, count, into, from);
            }
        }
        if (isMx(module, layer)) {
            GgufBlocks blocks = source.blocks(label).orElseThrow();
            int rowBytes = Math.toIntExact(blocks.rowBytes());
            return (first, count, into) -> MemorySegment.copy(
                    blocks.data(), ValueLayout.JAVA_BYTE, first * rowBytes, into, 0, count * rowBytes);
        }
        StoredRows rows = rows(module, layer);
        return tensors.encoder(label, type, shape, columns, (row, into) -> rows.read(from.applyAsLong(row), into));
    }

    /** The rows of a linear as numbers. */
    private StoredRows rows(LinearModule module, int layer) {
        String label = module.name(layer) + ".weight";
        return config.quantization().isPresent()
                ? StoredRows.of(PackedLinears.read(source, module, layer))
                : tensors.checked(StoredRows.of(source.stored(label).orElseThrow()), label);
    }

    private List<GgufItem> latent(LinearModule module, int layer) {
        return new LatentTensors(config, mix, isExact(), tensors, importance)
                .of(
                        module,
                        layer,
                        sources(module, layer),
                        () -> rows(module, layer),
                        (type, shape, columns, from) -> body(module, layer, type, shape, columns, from));
    }
}
