package nibble.engine.cuda;

import static jcuda.driver.JCudaDriver.cuMemsetD32Async;

import java.lang.foreign.MemorySegment;
import java.util.HashMap;
import java.util.Map;
import java.util.function.LongConsumer;
import nibble.checkpoint.gguf.GgufBlocks;
import nibble.checkpoint.tensor.DType;
import nibble.checkpoint.tensor.TensorView;
import nibble.engine.backend.DeviceException;
import nibble.engine.backend.Workers;
import nibble.engine.cuda.data.BlockMatrix;
import nibble.engine.cuda.data.CudaWeight;
import nibble.engine.cuda.data.TiledMatrix;
import nibble.engine.cuda.driver.CudaDevice;
import nibble.engine.cuda.driver.CudaStream;
import nibble.engine.cuda.driver.DeviceMemory;
import nibble.engine.cuda.driver.ForeignFunctions;
import nibble.engine.cuda.driver.Kernel;
import nibble.engine.cuda.driver.KernelCache;
import nibble.engine.cuda.driver.PinnedMemory;
import nibble.engine.tensor.AwqWeight;
import nibble.engine.tensor.DenseWeight;
import nibble.engine.tensor.QuantizedWeight;
import nibble.engine.tensor.Weight;
import nibble.pack.QuantizedLinear;
import nibble.pack.layout.AwqLayout;

/**
 * Brings weights to the card on a stream of its own: fp16 as it is, bf16 and fp32 rounded to fp16, 4-bit codes repacked
 * into the layout of {@code w4.cuh}, blocks of GGUF into that of {@code blocks.cuh}. Owns the stream, the pinned ring
 * and the scratch memory; used by one thread at a time.
 */
final class WeightUpload implements AutoCloseable {
    private static final int THREADS = 256;

    private final DeviceMemory memory;
    private final KernelCache kernels;
    private final CudaStream stream = new CudaStream();
    private final UploadRing ring;
    private final Map<String, DeviceMemory.Buffer> scratch = new HashMap<>();
    private final PinnedMemory count = new PinnedMemory(Integer.BYTES);

    WeightUpload(DeviceMemory memory, KernelCache kernels, Workers workers) {
        this.memory = memory;
        this.kernels = kernels;
        this.ring = new UploadRing(workers);
    }

    CudaStream stream() {
        return stream;
    }

    /** Puts the copy of a weight into the stream. */
    synchronized CudaWeight.Dense dense(DenseWeight weight, DeviceMemory.Buffer target, long offset) {
        TensorView tensor = weight.tensor();
        if (tensor.dtype() == DType.F16) {
            ring.copy(tensor.data(), target, offset, stream);
        } else {
            DeviceMemory.Buffer original = scratch("original", tensor.data().byteSize());
            ring.copy(tensor.data(), original, 0, stream);
            round(tensor, original, target.address() + offset);
        }
        return new CudaWeight.Dense(weight.name(), weight.outFeatures(), weight.inFeatures(), target, offset);
    }

    private void round(TensorView tensor, DeviceMemory.Buffer original, long target) {
        String kernel = tensor.dtype() == DType.BF16 ? "bf16_to_half" : "single_to_half";
        long elements = tensor.shape().elements();
        requireReach(
                tensor.name(),
                elements,
                tensor.dtype().toString(),
                overflow -> kernels.kernel("elementwise.cu", kernel, Map.of())
                        .launch(
                                stream,
                                Kernel.Grid.of((elements + THREADS - 1) / THREADS),
                                THREADS,
                                0,
                                original.address(),
                                target,
                                elements,
                                overflow));
    }

    /**
     * bf16 and fp32, and scales of blocks, reach further than fp16: a weight that does not fit would be infinite here,
     * so it is refused.
     *
     * @param conversion takes the address of its count of such values
     */
    private void requireReach(String name, long elements, String type, LongConsumer conversion) {
        DeviceMemory.Buffer overflow = scratch("overflow", Integer.BYTES);
        count.segment().set(ForeignFunctions.INT, 0, 0);
        count.toDevice(overflow, 0, Integer.BYTES, stream);
        conversion.accept(overflow.address());
        count.fromDevice(overflow, 0, Integer.BYTES, stream);
        stream.synchronize();
        int found = count.segment().get(ForeignFunctions.INT, 0);
        if (found > 0) {
            throw new DeviceException("tensor " + name + ": " + found + " of " + elements + " " + type
                    + " values exceed fp16's 65504, and CUDA computes in fp16; use --device cpu");
        }
    }

    /** Puts zeros into a matrix whose parts are to be brought. */
    synchronized void clear(TiledMatrix matrix) {
        CudaDevice.check(
                cuMemsetD32Async(matrix.buffer().pointer(matrix.offset()), 0, matrix.bytes() / 4, stream.stream()),
                "zeros");
    }

    /** Brings blocks as a matrix of their own, from the buffer's beginning on. */
    CudaWeight.Tiled blocks(String name, GgufBlocks blocks, DeviceMemory.Buffer buffer) {
        BlockMatrix matrix = new BlockMatrix(blocks.type(), blocks.rows(), blocks.columns(), buffer, 0);
        CudaWeight.Tiled weight = new CudaWeight.Tiled(name, blocks.rows(), matrix, 0, 8);
        clear(matrix);
        blocks(name, blocks, weight);
        return weight;
    }

    /** Brings a part of a matrix that was {@linkplain #clear cleared}. */
    synchronized void blocks(String name, GgufBlocks blocks, CudaWeight.Tiled part) {
        TiledMatrix matrix = part.matrix();
        int rows = part.outFeatures();
        DeviceMemory.Buffer original = bring("original", blocks.data());
        int first = part.offset() / 16;
        int last = (part.offset() + (rows - 1) / 8 * part.spread() + (rows - 1) % 8) / 16;
        requireReach(
                name,
                (long) rows * blocks.columns(),
                blocks.type().toString(),
                overflow -> kernels.kernel("blocks.cu", "block_repack", matrix.constants())
                        .launch(
                                stream,
                                new Kernel.Grid(last - first + 1, matrix.units(), 1),
                                THREADS,
                                0,
                                matrix.address(),
                                original.address(),
                                matrix.inFeatures(),
                                rows,
                                part.offset(),
                                part.spread(),
                                blocks.headDim(),
                                overflow));
    }

    /** Puts the copy and the repacking of a part of a matrix into the stream; parts must come in order. */
    synchronized void nibbles(Weight weight, CudaWeight.Tiled part) {
        TiledMatrix matrix = part.matrix();
        int in = matrix.inFeatures();
        int rows = part.outFeatures();
        String kernel;
        DeviceMemory.Buffer codes;
        DeviceMemory.Buffer zeros;
        DeviceMemory.Buffer scales;
        switch (weight) {
            case QuantizedWeight(QuantizedLinear linear) -> {
                kernel = "w4_repack_rows";
                codes = bring("codes", MemorySegment.ofArray(linear.codes()));
                zeros = bring("zeros", MemorySegment.ofArray(linear.zeros()));
                scales = bring("scales", MemorySegment.ofArray(linear.scales()));
            }
            case AwqWeight(AwqLayout.AwqLinear linear) -> {
                kernel = "w4_repack_awq";
                codes = bring("codes", linear.tensors().qweight());
                zeros = bring("zeros", linear.tensors().qzeros());
                scales = bring("scales", linear.tensors().scales());
            }
            default -> throw new IllegalArgumentException(weight.name() + " is no 4-bit weight");
        }
        int first = part.offset() / 16;
        int last = (part.offset() + (rows / 8 - 1) * part.spread() + 7) / 16;
        kernels.kernel("w4_repack.cu", kernel, matrix.constants())
                .launch(
                        stream,
                        new Kernel.Grid((last - first + 8) / 8, matrix.units(), 1),
                        THREADS,
                        0,
                        matrix.address(),
                        codes.address(),
                        zeros.address(),
                        scales.address(),
                        in,
                        rows,
                        part.offset(),
                        part.spread());
    }

    private DeviceMemory.Buffer bring(String purpose, MemorySegment source) {
        DeviceMemory.Buffer buffer = scratch(purpose, source.byteSize());
        ring.copy(source, buffer, 0, stream);
        return buffer;
    }

    /** Memory for what is converted on its way; work in the stream keeps it from being overwritten too early. */
    private DeviceMemory.Buffer scratch(String purpose, long bytes) {
        DeviceMemory.Buffer kept = scratch.get(purpose);
        if (kept == null || kept.bytes() < bytes) {
            if (kept != null) {
                stream.synchronize();
                kept.close();
            }
            kept = memory.allocate(bytes, "weights on their way");
            scratch.put(purpose, kept);
        }
        return kept;
    }

    @Override
    public void close() {
        stream.synchronize();
        ring.close();
        count.close();
        scratch.values().forEach(DeviceMemory.Buffer::close);
        stream.close();
    }
}
