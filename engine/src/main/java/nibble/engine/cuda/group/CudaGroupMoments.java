package nibble.engine.cuda.group;

import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import nibble.engine.cuda.data.CudaMatrix;
import nibble.engine.cuda.driver.CudaResources;
import nibble.engine.cuda.driver.DeviceMemory;
import nibble.engine.cuda.fit.FitMoment;
import nibble.engine.cuda.quantize.CudaInputStatistics.Correlations;
import nibble.engine.cuda.quantize.CudaPairedMoments;
import nibble.engine.cuda.quantize.InputLacks;
import nibble.engine.quantize.PairedMoments;
import nibble.engine.tensor.Matrix;
import org.jspecify.annotations.Nullable;

/**
 * Moments on two cards. Every other part is of the second half, and the cards take parts in turn: so N of a half is
 * summed on one card, in the order that a single card has. C is summed as for any statistics. For fits each card gets
 * all of them. Owns its memory.
 */
final class CudaGroupMoments implements PairedMoments {
    private final CudaGroup group;
    private final CudaGroupStatistics input;
    private final int columns;
    private final int lacking;
    private final boolean behind;
    private final long[] rows = new long[2];
    /** N of each half, on each card; null where it is not. */
    private final DeviceMemory.@Nullable Buffer[][] lacks;

    private final List<DeviceMemory.Buffer> moments = new ArrayList<>();
    private final List<InputLacks> prepared = new ArrayList<>();
    private float @Nullable [] preparedColumns;

    CudaGroupMoments(CudaGroup group, int columns, int residual) {
        this.group = group;
        this.columns = columns;
        this.behind = residual > 0;
        this.lacking = behind ? residual : columns;
        this.input = group.statistics(columns);
        this.lacks = new DeviceMemory.Buffer[2][group.size()];
    }

    @Override
    public CudaGroupStatistics input() {
        return input;
    }

    @Override
    public void add(Matrix quantized, Matrix lack, int half) {
        input.add(quantized);
        int card = card(quantized);
        if (lacks[half][1 - card] != null) {
            throw new IllegalArgumentException("tokens of one half of the text on both cards");
        }
        CudaPairedMoments.addLack(resources(card), quantized, lack, lack(half, card));
        rows[half] += quantized.rows();
    }

    private int card(Matrix rows) {
        return CudaMatrix.isOf(resources(0), rows) ? 0 : 1;
    }

    private CudaResources resources(int card) {
        return group.member(card).resources();
    }

    private DeviceMemory.Buffer lack(int half, int card) {
        DeviceMemory.Buffer there = lacks[half][card];
        if (there == null) {
            resources(card).makeCurrent();
            there = CudaPairedMoments.zeros(resources(card), lacking, columns);
            lacks[half][card] = there;
        }
        return there;
    }

    @Override
    public void endPart() {
        input.endPart();
    }

    /**
     * All in a basis, on each card; made once for all linears of an input. Owned by this.
     *
     * @param basis factors of the columns, or null for ones
     */
    List<InputLacks> in(float @Nullable [] basis) {
        if (prepared.isEmpty()) {
            prepare(basis);
        }
        if (!Arrays.equals(preparedColumns, basis)) {
            throw new IllegalArgumentException("linears of one input are fitted in one basis");
        }
        return prepared;
    }

    private void prepare(float @Nullable [] basis) {
        DeviceMemory.Buffer sums = input.takeMoment();
        List<Correlations> correlations = input.correlations();
        moments.add(sums);
        group.synchronize();
        resources(1).makeCurrent();
        DeviceMemory.Buffer copy = resources(1)
                .memory()
                .allocate((long) Float.BYTES * columns * columns, "second moments of " + columns + " features");
        moments.add(copy);
        copy(0, sums, 1, copy);
        for (int half = 0; half < 2; half++) {
            int home = lacks[half][1] == null ? 0 : 1;
            DeviceMemory.Buffer from = lack(half, home);
            copy(home, from, 1 - home, lack(half, 1 - home));
        }
        group.synchronize();
        prepared.addAll(group.onEach(i -> new InputLacks(
                new FitMoment(
                        resources(i),
                        moments.get(i),
                        correlations.get(i).matrix().address(),
                        columns,
                        input.rows(),
                        basis),
                behind,
                lack(0, i).address(),
                lack(1, i).address(),
                rows)));
        preparedColumns = basis;
    }

    private void copy(int from, DeviceMemory.Buffer source, int to, DeviceMemory.Buffer target) {
        resources(from).synchronize();
        resources(to).makeCurrent();
        resources(to)
                .device()
                .copyFrom(
                        resources(from).device(),
                        source.pointer(0),
                        target.pointer(0),
                        source.bytes(),
                        resources(to).stream());
    }

    @Override
    public void close() {
        input.close();
        for (int i = 0; i < group.size(); i++) {
            resources(i).makeCurrent();
            if (i < prepared.size()) {
                prepared.get(i).moment().close();
            }
            if (i < moments.size()) {
                moments.get(i).close();
            }
            for (DeviceMemory.@Nullable Buffer[] half : lacks) {
                if (half[i] != null) {
                    half[i].close();
                }
            }
        }
        group.member(0).makeCurrent();
    }
}
