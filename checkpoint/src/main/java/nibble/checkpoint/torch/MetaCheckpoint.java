package nibble.checkpoint.torch;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.node.JsonNodeFactory;
import com.fasterxml.jackson.databind.node.ObjectNode;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.SequencedMap;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import nibble.checkpoint.model.Linear;
import nibble.checkpoint.model.TensorNames;
import nibble.checkpoint.source.BadCheckpointException;
import nibble.checkpoint.tensor.DType;
import nibble.checkpoint.tensor.HeadRows;
import nibble.checkpoint.tensor.Shape;
import nibble.checkpoint.tensor.StoredTensor;
import nibble.checkpoint.tensor.TensorSpec;
import nibble.checkpoint.tensor.TensorView;

/**
 * Reads a Llama as Meta publishes it: params.json beside consolidated.00.pth, consolidated.01.pth and so on, one file
 * for each device of the tensor parallelism it was trained with. The files' parts are joined, names and the order of
 * query and key rows become Hugging Face's, and so does the config.
 */
public final class MetaCheckpoint {
    private static final Pattern LAYER = Pattern.compile("layers\\.(\\d{1,4})\\.(.+)");

    private final Path folder;
    private final ObjectNode params;
    private final List<TorchFile> files;
    private final SequencedMap<String, StoredTensor> tensors = new LinkedHashMap<>();

    /** Along which axis a tensor's parts follow one another. */
    private enum Split {
        ROWS,
        COLUMNS,
        COPIES
    }

    /**
     * Opens a model as Meta publishes it.
     *
     * @param params content of params.json
     * @param files consolidated.*.pth, in the order of their numbers
     * @throws BadCheckpointException if a file is damaged or the parts do not fit together
     */
    public MetaCheckpoint(Path folder, ObjectNode params, List<Path> files, Arena arena) {
        this.folder = folder;
        this.params = params;
        this.files = files.stream().map(file -> TorchFile.open(file, arena)).toList();
        int heads = integer("n_heads");
        int headDim = integer("dim") / heads;
        for (String name : this.files.getFirst().tensors().keySet()) {
            add(name, headDim);
        }
    }

    /** Returns the tensors by their Hugging Face names. */
    public SequencedMap<String, StoredTensor> tensors() {
        return tensors;
    }

    private void add(String name, int headDim) {
        Matcher layer = LAYER.matcher(name);
        if (layer.matches()) {
            int index = Integer.parseInt(layer.group(1));
            switch (layer.group(2)) {
                case "attention.wq.weight" -> addHeads(name, Linear.Q.module(index), headDim);
                case "attention.wk.weight" -> addHeads(name, Linear.K.module(index), headDim);
                case "attention.wv.weight" -> add(name, Linear.V.module(index) + ".weight", Split.ROWS);
                case "attention.wo.weight" -> add(name, Linear.O.module(index) + ".weight", Split.COLUMNS);
                case "feed_forward.w1.weight" -> add(name, Linear.GATE.module(index) + ".weight", Split.ROWS);
                case "feed_forward.w2.weight" -> add(name, Linear.DOWN.module(index) + ".weight", Split.COLUMNS);
                case "feed_forward.w3.weight" -> add(name, Linear.UP.module(index) + ".weight", Split.ROWS);
                case "attention_norm.weight" -> addNorm(name, index, "input_layernorm");
                case "ffn_norm.weight" -> addNorm(name, index, "post_attention_layernorm");
                case "attention.inner_attention.rope.freqs" -> {}
                default -> throw unknown(name);
            }
            return;
        }
        switch (name) {
            case "tok_embeddings.weight" -> add(name, TensorNames.EMBEDDING, embeddingSplit(name));
            case "norm.weight" -> add(name, TensorNames.FINAL_NORM, Split.COPIES);
            case "output.weight" -> add(name, TensorNames.HEAD, Split.ROWS);
            case "rope.freqs" -> {}
            default -> throw unknown(name);
        }
    }

    private BadCheckpointException unknown(String name) {
        return new BadCheckpointException(
                files.getFirst().path(),
                "tensor " + name + " is not a name of a Llama in Meta's format; not supported");
    }

    /** Llama 1 and 2 split the embedding by features, Llama 3 by tokens. */
    private Split embeddingSplit(String name) {
        TensorView first = matrix(files.getFirst(), name);
        return first.shape().dim(1) == integer("dim") ? Split.ROWS : Split.COLUMNS;
    }

    private void addNorm(String name, int layer, String norm) {
        add(name, TensorNames.layer(layer) + norm + ".weight", Split.COPIES);
    }

    private void addHeads(String name, String module, int headDim) {
        matrix(files.getFirst(), name);
        StoredTensor joined = joined(name, module + ".weight", Split.ROWS);
        long rows = joined.spec().shape().dim(0);
        if (headDim < 2 || headDim % 2 != 0 || rows == 0 || rows % headDim != 0) {
            throw new BadCheckpointException(
                    joined.file(), "tensor " + name + ": " + rows + " rows are no whole number of heads of " + headDim);
        }
        tensors.put(
                joined.name(),
                new StoredTensor(
                        joined.spec(),
                        joined.file(),
                        joined.storage(),
                        joined.storedBytes(),
                        () -> HeadRows.toHalves(joined.data().get(), rows, headDim),
                        (first, count) -> {
                            long rowBytes = joined.rowBytes();
                            MemorySegment halves = MemorySegment.ofArray(new byte[Math.toIntExact(count * rowBytes)]);
                            for (long row = 0; row < count; row++) {
                                MemorySegment from = joined.rows().read(HeadRows.interleaved(first + row, headDim), 1);
                                MemorySegment.copy(from, 0, halves, row * rowBytes, rowBytes);
                            }
                            return halves;
                        }));
    }

    private void add(String name, String target, Split split) {
        tensors.put(target, joined(name, target, split));
    }

    private StoredTensor joined(String name, String target, Split split) {
        TensorView first = part(files.getFirst(), name);
        if (files.size() == 1 || split == Split.COPIES) {
            return StoredTensor.inPlace(first, files.getFirst().path()).named(target);
        }
        List<TensorView> parts = new ArrayList<>();
        for (TorchFile file : files) {
            TensorView part = matrix(file, name);
            if (!part.spec().equals(first.spec())) {
                throw new BadCheckpointException(
                        file.path(),
                        "tensor " + name + " is " + part.dtype() + " " + part.shape() + ", "
                                + files.getFirst().path().getFileName() + " has " + first.dtype() + " " + first.shape()
                                + "; the files are not of one model");
            }
            parts.add(part);
        }
        long count = parts.size();
        Shape shape = split == Split.ROWS
                ? Shape.of(first.shape().dim(0) * count, first.shape().dim(1))
                : Shape.of(first.shape().dim(0), first.shape().dim(1) * count);
        TensorSpec spec = new TensorSpec(target, first.dtype(), shape);
        return new StoredTensor(
                spec,
                files.getFirst().path(),
                first.dtype().name(),
                spec.bytes(),
                () -> join(parts, split, spec),
                (from, rows) -> joinRows(parts, split, spec, from, rows));
    }

    private static MemorySegment joinRows(
            List<TensorView> parts, Split split, TensorSpec spec, long first, long count) {
        long rowBytes = spec.bytes() / spec.shape().dim(0);
        MemorySegment rows = MemorySegment.ofArray(new byte[Math.toIntExact(count * rowBytes)]);
        long partRows = spec.shape().dim(0) / parts.size();
        long partBytes = rowBytes / parts.size();
        for (long i = 0; i < count; i++) {
            if (split == Split.ROWS) {
                MemorySegment part = parts.get((int) ((first + i) / partRows)).data();
                MemorySegment.copy(part, (first + i) % partRows * rowBytes, rows, i * rowBytes, rowBytes);
            } else {
                for (int p = 0; p < parts.size(); p++) {
                    MemorySegment part = parts.get(p).data();
                    MemorySegment.copy(part, (first + i) * partBytes, rows, i * rowBytes + p * partBytes, partBytes);
                }
            }
        }
        return rows;
    }

    private static MemorySegment join(List<TensorView> parts, Split split, TensorSpec spec) {
        MemorySegment whole = Arena.ofAuto().allocate(spec.bytes(), 64);
        long rows = split == Split.ROWS ? 1 : spec.shape().dim(0);
        long rowBytes = spec.bytes() / rows;
        long partBytes = rowBytes / parts.size();
        for (int part = 0; part < parts.size(); part++) {
            for (long row = 0; row < rows; row++) {
                MemorySegment.copy(
                        parts.get(part).data(), row * partBytes, whole, row * rowBytes + part * partBytes, partBytes);
            }
        }
        return whole;
    }

    private static TensorView part(TorchFile file, String name) {
        TensorView found = file.tensors().get(name);
        if (found == null) {
            throw new BadCheckpointException(
                    file.path(), "tensor " + name + " is missing, other files have it; get it again");
        }
        return found;
    }

    private static TensorView matrix(TorchFile file, String name) {
        TensorView found = part(file, name);
        if (found.shape().rank() != 2) {
            throw new BadCheckpointException(
                    file.path(), "tensor " + name + " is " + found.shape() + ", expected a matrix");
        }
        return found;
    }

    /**
     * Returns the model's config.json, from params.json and, where that is silent as it often is, from the tensors'
     * shapes. Context
     * length, not said by either, is the published one of the generation that the other figures belong to.
     */
    public ObjectNode configJson() {
        int dim = integer("dim");
        int heads = integer("n_heads");
        Shape embedding = shape(TensorNames.EMBEDDING);
        Shape gate = shape(Linear.GATE.module(0) + ".weight");
        double theta = params.path("rope_theta").asDouble(10_000);
        double epsilon = params.path("norm_eps").asDouble(1e-5);
        boolean scaled = params.path("use_scaled_rope").asBoolean(false);
        DType dtype = stored(TensorNames.EMBEDDING).spec().dtype();
        ObjectNode json = JsonNodeFactory.instance.objectNode();
        json.putArray("architectures").add("LlamaForCausalLM");
        json.put("model_type", "llama").put("hidden_act", "silu");
        json.put("hidden_size", dim).put("intermediate_size", gate.dim(0));
        json.put("num_hidden_layers", integer("n_layers")).put("num_attention_heads", heads);
        json.put("num_key_value_heads", params.path("n_kv_heads").asInt(heads)).put("vocab_size", embedding.dim(0));
        json.put("max_position_embeddings", contextTokens(theta, epsilon, scaled))
                .put("rms_norm_eps", epsilon);
        json.put("rope_theta", theta);
        if (scaled) {
            json.putObject("rope_scaling")
                    .put("rope_type", "llama3")
                    .put("factor", params.path("rope_scaling_factor").asDouble(8))
                    .put("low_freq_factor", 1.0)
                    .put("high_freq_factor", 4.0)
                    .put("original_max_position_embeddings", 8192);
        } else {
            json.putNull("rope_scaling");
        }
        json.put("tie_word_embeddings", !tensors.containsKey(TensorNames.HEAD));
        json.put("torch_dtype", dtype == DType.F32 ? "float32" : dtype == DType.BF16 ? "bfloat16" : "float16");
        boolean tiktoken = embedding.dim(0) >= 128_000;
        json.put("bos_token_id", tiktoken ? 128_000 : 1).put("eos_token_id", tiktoken ? 128_001 : 2);
        return json;
    }

    /** Llama 3.1 and later scale rope; Llama 3 has theta 500,000, Code Llama 1,000,000; Llama 1 an epsilon of 1e-6. */
    private static int contextTokens(double theta, double epsilon, boolean scaled) {
        if (scaled) {
            return 131_072;
        }
        if (theta == 1_000_000) {
            return 16_384;
        }
        return theta > 10_000 ? 8192 : epsilon < 5e-6 ? 2048 : 4096;
    }

    private StoredTensor stored(String name) {
        StoredTensor found = tensors.get(name);
        if (found == null) {
            throw new BadCheckpointException(folder, "no tensor for " + name + "; get the whole checkpoint again");
        }
        return found;
    }

    private Shape shape(String name) {
        Shape shape = stored(name).spec().shape();
        if (shape.rank() != 2) {
            throw new BadCheckpointException(folder, "the tensor for " + name + " is " + shape + ", expected a matrix");
        }
        return shape;
    }

    private int integer(String key) {
        JsonNode value = params.path(key);
        if (!value.isInt() || value.intValue() < 1) {
            throw new BadCheckpointException(
                    folder.resolve("params.json"),
                    "key \"" + key + "\" is " + value + ", expected a whole number above 0");
        }
        return value.intValue();
    }
}
