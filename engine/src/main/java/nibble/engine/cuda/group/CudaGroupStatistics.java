package nibble.engine.cuda.group;

import java.util.ArrayList;
import java.util.List;
import nibble.engine.cuda.data.CudaMatrix;
import nibble.engine.cuda.driver.DeviceMemory;
import nibble.engine.cuda.quantize.CudaInputStatistics;
import nibble.engine.cuda.quantize.CudaInputStatistics.Correlations;
import nibble.engine.quantize.InputStatistics;
import nibble.engine.tensor.Matrix;
import org.jspecify.annotations.Nullable;

/**
 * Statistics whose parts are made on several cards. The first card adds them up in order, fetching those of the others
 * while they make their next ones; the others get the correlations back. Owns the statistics of each card.
 */
final class CudaGroupStatistics implements InputStatistics {
    private final CudaGroup group;
    private final List<CudaInputStatistics> members = new ArrayList<>();
    private final List<@Nullable Correlations> copies = new ArrayList<>();
    /** The card that makes the part at hand. */
    private int current;

    CudaGroupStatistics(CudaGroup group, int columns) {
        this.group = group;
        for (int i = 0; i < group.size(); i++) {
            group.member(i).makeCurrent();
            members.add(group.member(i).statistics(columns));
            copies.add(null);
        }
    }

    @Override
    public int columns() {
        return members.getFirst().columns();
    }

    @Override
    public void add(Matrix x) {
        for (int i = 0; i < members.size(); i++) {
            if (CudaMatrix.isOf(group.member(i).resources(), x)) {
                group.member(i).makeCurrent();
                members.get(i).add(x);
                current = i;
                return;
            }
        }
        throw new IllegalArgumentException("rows of a device outside the group");
    }

    @Override
    public void endPart() {
        CudaInputStatistics first = members.getFirst();
        if (current == 0) {
            group.member(0).makeCurrent();
            first.endPart();
        } else {
            first.takePart(members.get(current));
        }
    }

    @Override
    public long rows() {
        return members.stream().mapToLong(CudaInputStatistics::rows).sum();
    }

    @Override
    public double[] meanAbsolute() {
        group.member(0).makeCurrent();
        return members.getFirst().meanAbsolute(rows());
    }

    /** C on the first card, for the caller to change and close; correlations stay. */
    DeviceMemory.Buffer takeMoment() {
        group.member(0).makeCurrent();
        return members.getFirst().takeMoment();
    }

    /** On each card, in the order of the cards. */
    List<Correlations> correlations() {
        group.member(0).makeCurrent();
        List<Correlations> all = new ArrayList<>();
        Correlations first = members.getFirst().correlations();
        all.add(first);
        for (int i = 1; i < members.size(); i++) {
            Correlations copy = copies.get(i);
            if (copy == null) {
                copy = members.get(i).copyOf(members.getFirst(), first);
                copies.set(i, copy);
            }
            all.add(copy);
        }
        group.member(0).makeCurrent();
        return all;
    }

    @Override
    public void close() {
        group.synchronize();
        members.forEach(CudaInputStatistics::close);
    }
}
