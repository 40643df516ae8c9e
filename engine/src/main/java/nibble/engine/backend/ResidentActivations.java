package nibble.engine.backend;

import java.util.ArrayList;
import java.util.List;
import nibble.engine.tensor.Matrix;

/** Keeps batches where the backend computes. */
public final class ResidentActivations implements ActivationStore {
    private final List<Matrix> batches = new ArrayList<>();

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
    public void close() {
        batches.forEach(Matrix::close);
        batches.clear();
    }
}
