package nibble.checkpoint;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.SequencedMap;
import java.util.function.Supplier;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import nibble.checkpoint.gguf.GgufBlocks;
import nibble.checkpoint.gguf.MxBlocks;
import nibble.checkpoint.model.Expert;
import nibble.checkpoint.model.Experts;
import nibble.checkpoint.model.LayerLinear;
import nibble.checkpoint.model.Linear;
import nibble.checkpoint.model.ModelConfig;
import nibble.checkpoint.source.BadCheckpointException;
import nibble.checkpoint.tensor.DType;
import nibble.checkpoint.tensor.Shape;
import nibble.checkpoint.tensor.StoredTensor;
import nibble.checkpoint.tensor.TensorSpec;

/**
 * Experts that lie together in one tensor of a layer, transposed: gpt-oss's, where gate and up take turns, and Llama
 * 4's, where gate comes before up. Each expert's linears become tensors of their own.
 *
 * <pre>
 * model.layers.N.mlp.experts.gate_up_proj         [experts, hidden, 2 · width]             transposed
 * model.layers.N.mlp.experts.gate_up_proj_bias    [experts, 2 · width]
 * model.layers.N.mlp.experts.gate_up_proj_blocks  [experts, 2 · width, hidden / 32, 16]    MXFP4, two values a byte
 * model.layers.N.mlp.experts.gate_up_proj_scales  [experts, 2 · width, hidden / 32]        their exponents
 * model.layers.N.mlp.experts.down_proj            [experts, width, hidden], and so on
 * model.layers.N.feed_forward.experts.gate_up_proj  [experts, hidden, 2 · width]           transposed, gate before up
 * </pre>
 */
final class TransposedExperts {
    private static final Pattern FUSED = Pattern.compile("model\\.layers\\.(\\d{1,9})\\.(?:mlp|feed_forward)\\.experts"
            + "\\.(gate_up|down)_proj(|_bias|_blocks|_scales)");

    /** Elements of a tile's side: two tiles stay in a core's first cache. */
    private static final int TILE = 64;

    /** Bits of two and of four bytes, in the machine's order: they are only copied. */
    private static final ValueLayout.OfShort SHORT = ValueLayout.JAVA_SHORT_UNALIGNED;

    private static final ValueLayout.OfInt INT = ValueLayout.JAVA_INT_UNALIGNED;
    private static final String BLOCKS = "_blocks";
    private static final String SCALES = "_scales";

    private final ModelConfig config;
    private final Experts experts;
    private final SequencedMap<String, StoredTensor> all;
    private final Map<String, Supplier<GgufBlocks>> blocks;
    private final SequencedMap<String, StoredTensor> split = new LinkedHashMap<>();

    private TransposedExperts(
            ModelConfig config,
            Experts experts,
            SequencedMap<String, StoredTensor> all,
            Map<String, Supplier<GgufBlocks>> blocks) {
        this.config = config;
        this.experts = experts;
        this.all = all;
        this.blocks = blocks;
    }

    /**
     * Returns the tensors with those of experts by themselves, in the same order.
     *
     * @param blocks gets the matrices that are stored in MXFP4
     * @throws BadCheckpointException if a tensor of experts has another shape or type than the config asks for, an
     *     expert is there by itself, too, or scales are missing
     */
    static SequencedMap<String, StoredTensor> split(
            ModelConfig config, SequencedMap<String, StoredTensor> tensors, Map<String, Supplier<GgufBlocks>> blocks) {
        if (config.experts().filter(experts -> experts.names().areTransposed()).isEmpty()) {
            return tensors;
        }
        TransposedExperts made = new TransposedExperts(config, config.experts().get(), tensors, blocks);
        tensors.forEach((name, tensor) -> {
            Matcher fused = FUSED.matcher(name);
            if (fused.matches()) {
                made.split(
                        tensor, Integer.parseInt(fused.group(1)), fused.group(2).equals("down"), fused.group(3));
            } else {
                made.add(tensor);
            }
        });
        return made.split;
    }

    private void split(StoredTensor tensor, int layer, boolean down, String kind) {
        int out = down ? config.hiddenSize() : 2 * experts.width();
        int in = down ? experts.width() : config.hiddenSize();
        switch (kind) {
            case "_bias" -> {
                require(tensor, Shape.of(experts.count(), out), false);
                forEach(down, (linear, start, step) -> bias(tensor, layer, linear, out, start, step));
            }
            case BLOCKS -> {
                String scales = tensor.name().substring(0, tensor.name().length() - BLOCKS.length()) + SCALES;
                StoredTensor exponents = all.get(scales);
                if (exponents == null) {
                    throw new BadCheckpointException(
                            tensor.file(),
                            "tensor " + tensor.name() + " is there without " + scales + "; get the whole checkpoint");
                }
                if (in % MxBlocks.ELEMENTS != 0) {
                    throw new BadCheckpointException(
                            tensor.file(),
                            "tensor " + tensor.name() + ": " + in + " columns, expected a multiple of "
                                    + MxBlocks.ELEMENTS + "; config and weights are of different models");
                }
                int perRow = in / MxBlocks.ELEMENTS;
                require(tensor, Shape.of(experts.count(), out, perRow, MxBlocks.BYTES), true);
                require(exponents, Shape.of(experts.count(), out, perRow), true);
                forEach(
                        down,
                        (linear, start, step) -> blocks(
                                new MxBlocks(
                                        tensor.view().data(), exponents.view().data(), in),
                                tensor,
                                layer,
                                linear,
                                out,
                                start,
                                step));
            }
            case SCALES -> {
                String values = tensor.name().substring(0, tensor.name().length() - SCALES.length()) + BLOCKS;
                if (!all.containsKey(values)) {
                    throw new BadCheckpointException(
                            tensor.file(),
                            "tensor " + tensor.name() + " is there without " + values + "; get the whole checkpoint");
                }
            }
            default -> {
                require(tensor, Shape.of(experts.count(), in, out), false);
                forEach(down, (linear, start, step) -> dense(tensor, layer, linear, out, in, start, step));
            }
        }
    }

    /** What is made of one linear of an expert: row r of it is row {@code step * r + start} of those together. */
    private interface Part {
        void add(LayerLinear linear, int start, int step);
    }

    private void forEach(boolean down, Part part) {
        for (int index = 0; index < experts.count(); index++) {
            for (Linear linear : down ? List.of(Linear.DOWN) : List.of(Linear.GATE, Linear.UP)) {
                Experts.Columns columns = experts.columns(linear, down ? config.hiddenSize() : experts.width());
                part.add(new LayerLinear(linear, new Expert(index)), columns.first(), columns.step());
            }
        }
    }

    private void bias(StoredTensor tensor, int layer, LayerLinear linear, int out, int start, int step) {
        config.bias(linear, layer).ifPresent(expected -> {
            DType type = tensor.spec().dtype();
            TensorSpec spec = new TensorSpec(expected.name(), type, expected.shape());
            long first = (long) linear.expert().index() * out;
            add(new StoredTensor(spec, tensor.file(), tensor.storage(), spec.bytes(), () -> {
                MemorySegment from = tensor.view().data();
                MemorySegment to = Arena.ofAuto().allocate(spec.bytes(), 64);
                for (long row = 0; row < expected.shape().elements(); row++) {
                    long at = (first + step * row + start) * type.bytes();
                    MemorySegment.copy(from, at, to, row * type.bytes(), type.bytes());
                }
                return to;
            }));
        });
    }

    private void dense(StoredTensor tensor, int layer, LayerLinear linear, int out, int in, int start, int step) {
        DType type = tensor.spec().dtype();
        int rows = rows(linear, out);
        TensorSpec spec = new TensorSpec(weight(layer, linear), type, Shape.of(rows, in));
        long first = (long) linear.expert().index() * out * in;
        StoredTensor.RowReader reader = (from, count) -> {
            MemorySegment data = tensor.view().data();
            MemorySegment to = MemorySegment.ofArray(new byte[Math.toIntExact(count * in * type.bytes())]);
            transpose(data, first, out, in, step, from * step + start, count, type.bytes(), to);
            return to;
        };
        add(new StoredTensor(
                spec,
                tensor.file(),
                tensor.storage(),
                spec.bytes(),
                () -> {
                    MemorySegment to = Arena.ofAuto().allocate(spec.bytes(), 64);
                    transpose(tensor.view().data(), first, out, in, step, start, rows, type.bytes(), to);
                    return to;
                },
                reader));
    }

    /** Writes {@code count} rows of a matrix whose columns are rows of {@code data}, every {@code step}-th of them. */
    private static void transpose(
            MemorySegment data,
            long first,
            int out,
            int in,
            int step,
            long from,
            long count,
            int bytes,
            MemorySegment to) {
        for (long top = 0; top < count; top += TILE) {
            for (long left = 0; left < in; left += TILE) {
                for (long column = left; column < Math.min(in, left + TILE); column++) {
                    long line = first + column * out + from;
                    for (long row = top; row < Math.min(count, top + TILE); row++) {
                        long source = (line + row * step) * bytes;
                        long target = (row * in + column) * bytes;
                        if (bytes == Short.BYTES) {
                            to.set(SHORT, target, data.get(SHORT, source));
                        } else {
                            to.set(INT, target, data.get(INT, source));
                        }
                    }
                }
            }
        }
    }

    private void blocks(
            MxBlocks together, StoredTensor tensor, int layer, LayerLinear linear, int out, int start, int step) {
        int rows = rows(linear, out);
        long first = (long) linear.expert().index() * out + start;
        TensorSpec spec = new TensorSpec(weight(layer, linear), DType.F32, Shape.of(rows, together.columns()));
        blocks.put(spec.name(), () -> together.rows(first, step, rows));
        add(new StoredTensor(
                spec,
                tensor.file(),
                "MXFP4",
                together.storedBytes(rows),
                () -> together.floats(first, step, rows, Arena.ofAuto().allocate(spec.bytes(), 64)),
                (from, count) -> together.floats(
                        first + from * step,
                        step,
                        Math.toIntExact(count),
                        MemorySegment.ofArray(new byte[Math.toIntExact(4L * count * together.columns())]))));
    }

    /** Rows of a linear among the {@code out} of those together. */
    private static int rows(LayerLinear linear, int out) {
        return linear.linear() == Linear.DOWN ? out : out / 2;
    }

    private String weight(int layer, LayerLinear linear) {
        return config.stored(linear.linear(), linear.expert(), layer).weight();
    }

    private void require(StoredTensor tensor, Shape shape, boolean bytes) {
        DType type = tensor.spec().dtype();
        if (!tensor.spec().shape().equals(shape)) {
            throw new BadCheckpointException(
                    tensor.file(),
                    "tensor " + tensor.name() + ": found shape " + tensor.spec().shape() + ", config.json asks for "
                            + shape + ", " + experts.count()
                            + " experts; config and weights are of different models, get both again");
        }
        if (bytes ? type != DType.U8 : !type.isWeight()) {
            throw new BadCheckpointException(
                    tensor.file(),
                    "tensor " + tensor.name() + ": found type " + type + ", expected "
                            + (bytes ? "U8" : "F16, BF16 or F32") + "; get the checkpoint again");
        }
    }

    private void add(StoredTensor tensor) {
        if (split.put(tensor.name(), tensor) != null) {
            throw new BadCheckpointException(
                    tensor.file(),
                    "tensor " + tensor.name() + " is there twice, by itself and together with those of other experts;"
                            + " get the checkpoint again");
        }
    }
}
