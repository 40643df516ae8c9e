package nibble.engine.backend;

import java.util.ArrayList;
import java.util.List;
import nibble.engine.tensor.Matrix;

/** Keeps batches where the backend computes. */
public final class ResidentActivations implements ActivationStore {
    private final Matrices matrices;
    private final List<Matrix> batches = new ArrayList<>();

    /**
     * Makes an empty store.
     *
     * @param matrices which copies rows
     */
    public ResidentActivations(Matrices matrices) {
        this.matrices = matrices;
    }

    @Override
    public void add(Matrix batch) {
        batches.add(batch);
    }

    @Override
    public Matrix borrow(int index) {
        return batches.get(index);
    }

    @Override
    public void giveBack(int index, boolean changed) {}

    @Override
    public void read(int index, int first, int rows, Matrix into, int at) {
        matrices.copyRows(batches.get(index), first, rows, into, at);
    }

    @Override
    public void close() {
        batches.forEach(Matrix::close);
        batches.clear();
    }
}
