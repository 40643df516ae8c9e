package nibble.engine.cuda.quantize;

import java.util.Map;
import nibble.engine.cuda.driver.CudaResources;
import nibble.engine.cuda.driver.DeviceMemory;
import nibble.engine.cuda.driver.Floats;
import nibble.engine.cuda.driver.Into;
import nibble.engine.cuda.driver.Kernel;
import nibble.engine.cuda.driver.Precision;
import nibble.engine.cuda.fit.Propagation;
import org.jspecify.annotations.Nullable;

/**
 * What a linear's outputs lack, for some rows at a time: its rows of N, or their products with N where N is of what
 * inputs lack. In fp32: propagation divides by C, so what is small in this is not small in the result. Owns the
 * products' memory.
 */
final class OutputLacks implements Propagation.Lacks, AutoCloseable {
    private static final int THREADS = 256;

    private final CudaResources owner;
    private final InputLacks lacks;
    private final int firstRow;
    private final long weight;
    private final int in;
    private final DeviceMemory.@Nullable Buffer single;
    private final DeviceMemory.@Nullable Buffer product;

    /**
     * @param weight address of W [rows, in] fp16
     * @param firstRow where these rows lie in the linear
     * @param atATime most rows that are asked for at a time
     */
    OutputLacks(CudaResources owner, InputLacks lacks, long weight, int firstRow, int rows, int in, int atATime) {
        this.owner = owner;
        this.lacks = lacks;
        this.firstRow = firstRow;
        this.weight = weight;
        this.in = in;
        long bytes = (long) Float.BYTES * Math.min(rows, atATime) * in;
        this.single = lacks.behind() ? null : owner.memory().allocate(bytes, "weights on their way");
        this.product = lacks.behind() ? null : owner.memory().allocate(bytes, "weights on their way");
    }

    @Override
    public long rows(int half, int first, int count) {
        if (single == null || product == null) {
            return lacks.address(half) + (long) Float.BYTES * (firstRow + first) * in;
        }
        owner.kernels()
                .kernel("fit.cu", "weights_in_basis", Map.of())
                .launch(
                        owner.stream(),
                        new Kernel.Grid((in + THREADS - 1) / THREADS, count, 1),
                        THREADS,
                        0,
                        weight + (long) Short.BYTES * first * in,
                        0L,
                        in,
                        single.address());
        owner.cublas()
                .single(
                        Precision.SINGLE,
                        Into.SET,
                        count,
                        in,
                        in,
                        new Floats(single.address(), in),
                        new Floats(lacks.address(half), in),
                        new Floats(product.address(), in));
        return product.address();
    }

    @Override
    public long tokens(int half) {
        return lacks.tokens()[half];
    }

    @Override
    public void close() {
        if (single != null) {
            single.close();
        }
        if (product != null) {
            product.close();
        }
    }
}
