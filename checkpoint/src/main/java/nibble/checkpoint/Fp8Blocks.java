package nibble.checkpoint;

import com.fasterxml.jackson.databind.JsonNode;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.ByteOrder;
import java.util.LinkedHashMap;
import java.util.SequencedMap;
import nibble.checkpoint.model.ModelConfig;
import nibble.checkpoint.model.quantization.Fp8Config;
import nibble.checkpoint.source.BadCheckpointException;
import nibble.checkpoint.tensor.DType;
import nibble.checkpoint.tensor.Shape;
import nibble.checkpoint.tensor.StoredTensor;
import nibble.checkpoint.tensor.TensorSpec;
import org.jspecify.annotations.Nullable;

/**
 * Reads linears in 8-bit floats, as DeepSeek-V3 is published: a matrix of e4m3, and a scale for each block of its rows
 * and columns, whose last ones may be cut off. Each value times its scale becomes an fp32 number, exactly as far as
 * fp32 goes.
 *
 * <pre>
 * model.layers.N.self_attn.o_proj.weight            [out, in]                                F8_E4M3
 * model.layers.N.self_attn.o_proj.weight_scale_inv  [out / rows, in / columns] rounded up    F32 or BF16
 * </pre>
 */
final class Fp8Blocks {
    private static final String SCALES = "_scale_inv";
    private static final ValueLayout.OfFloat FLOAT =
            ValueLayout.JAVA_FLOAT_UNALIGNED.withOrder(ByteOrder.LITTLE_ENDIAN);
    private static final ValueLayout.OfShort SHORT =
            ValueLayout.JAVA_SHORT_UNALIGNED.withOrder(ByteOrder.LITTLE_ENDIAN);
    private static final float[] VALUES = values();

    private final StoredTensor codes;
    private final StoredTensor scales;
    private final Fp8Config config;
    private final int columns;

    private Fp8Blocks(StoredTensor codes, StoredTensor scales, Fp8Config config, int columns) {
        this.codes = codes;
        this.scales = scales;
        this.config = config;
        this.columns = columns;
    }

    /**
     * Returns the tensors with those in 8-bit floats as fp32 numbers, in the same order.
     *
     * @throws BadCheckpointException if a matrix has no scales, or scales of another shape or type
     */
    static SequencedMap<String, StoredTensor> read(ModelConfig config, SequencedMap<String, StoredTensor> tensors) {
        JsonNode quantization = config.json().path("quantization_config");
        if (!Fp8Config.isRead(quantization)) {
            return tensors;
        }
        Fp8Config blocks = Fp8Config.of(quantization);
        SequencedMap<String, StoredTensor> read = new LinkedHashMap<>();
        tensors.forEach((name, tensor) -> {
            boolean coded = tensor.spec().dtype() == DType.F8_E4M3;
            boolean scales =
                    name.endsWith(SCALES) && tensors.containsKey(name.substring(0, name.length() - SCALES.length()));
            if (coded) {
                read.put(name, of(tensor, tensors.get(name + SCALES), blocks).tensor());
            } else if (!scales) {
                read.put(name, tensor);
            }
        });
        return read;
    }

    private static Fp8Blocks of(StoredTensor codes, @Nullable StoredTensor scales, Fp8Config config) {
        Shape shape = codes.spec().shape();
        if (shape.rank() != 2 || shape.dim(0) > Integer.MAX_VALUE || shape.dim(1) > Integer.MAX_VALUE) {
            throw new BadCheckpointException(
                    codes.file(),
                    "tensor " + codes.name() + " of 8-bit floats is " + shape + ", expected a matrix; get the"
                            + " checkpoint again");
        }
        if (scales == null) {
            throw new BadCheckpointException(
                    codes.file(),
                    "tensor " + codes.name() + " of 8-bit floats is there without " + codes.name() + SCALES
                            + "; get the whole checkpoint");
        }
        Shape expected = Shape.of(
                Math.ceilDiv(shape.dim(0), (long) config.rows()), Math.ceilDiv(shape.dim(1), (long) config.columns()));
        DType type = scales.spec().dtype();
        if (!scales.spec().shape().equals(expected) || type != DType.F32 && type != DType.BF16) {
            throw new BadCheckpointException(
                    scales.file(),
                    "tensor " + scales.name() + " is " + type + " "
                            + scales.spec().shape()
                            + ", expected F32 or BF16 " + expected + " for blocks of " + config.rows() + " rows and "
                            + config.columns() + " columns; get config and weights again");
        }
        return new Fp8Blocks(codes, scales, config, (int) shape.dim(1));
    }

    private StoredTensor tensor() {
        TensorSpec spec = new TensorSpec(codes.name(), DType.F32, codes.spec().shape());
        return new StoredTensor(
                spec,
                codes.file(),
                DType.F8_E4M3.name(),
                codes.storedBytes() + scales.storedBytes(),
                () -> numbers(0, codes.spec().shape().dim(0), Arena.ofAuto().allocate(spec.bytes(), 64)),
                (first, count) ->
                        numbers(first, count, MemorySegment.ofArray(new byte[Math.toIntExact(4L * count * columns)])));
    }

    private MemorySegment numbers(long first, long count, MemorySegment to) {
        MemorySegment from = codes.view().data();
        MemorySegment factors = scales.view().data();
        int perRow = Math.ceilDiv(columns, config.columns());
        for (long row = 0; row < count; row++) {
            long block = (first + row) / config.rows() * perRow;
            for (int part = 0; part < perRow; part++) {
                float scale = scale(factors, block + part);
                int end = Math.min(columns, (part + 1) * config.columns());
                for (int column = part * config.columns(); column < end; column++) {
                    byte code = from.get(ValueLayout.JAVA_BYTE, (first + row) * columns + column);
                    to.set(FLOAT, 4 * (row * columns + column), VALUES[code & 0xff] * scale);
                }
            }
        }
        return to;
    }

    private float scale(MemorySegment factors, long i) {
        return scales.spec().dtype() == DType.F32
                ? factors.get(FLOAT, 4 * i)
                : Float.intBitsToFloat(factors.get(SHORT, 2 * i) << 16);
    }

    /** The numbers of all codes: a sign, four bits of an exponent of bias 7, three of a fraction; no infinity. */
    private static float[] values() {
        float[] values = new float[256];
        for (int code = 0; code < 256; code++) {
            int exponent = code >> 3 & 15;
            int fraction = code & 7;
            float size = exponent == 0 ? Math.scalb(fraction, -9) : Math.scalb(8f + fraction, exponent - 10);
            float value = (code & 127) == 127 ? Float.NaN : size;
            values[code] = code < 128 ? value : -value;
        }
        return values;
    }
}
