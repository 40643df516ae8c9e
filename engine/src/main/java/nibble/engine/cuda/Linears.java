package nibble.engine.cuda;

import java.util.List;
import nibble.engine.backend.Extents;
import nibble.engine.backend.PlacedWeight;
import nibble.engine.cuda.data.CudaMatrix;
import nibble.engine.cuda.data.CudaWeight;
import nibble.engine.cuda.driver.CudaResources;
import nibble.engine.cuda.driver.DeviceMemory;
import nibble.engine.tensor.Matrix;
import nibble.engine.tensor.Weight;

/**
 * Products with weights of any kind: those on the card as they lie there, those of the host brought for the operation.
 */
final class Linears {
    private final CudaResources card;
    private final Products products;
    private final WeightUpload upload;

    Linears(CudaResources card, Products products, WeightUpload upload) {
        this.card = card;
        this.products = products;
        this.upload = upload;
    }

    void multiply(Weight weight, Matrix x, Matrix out, boolean accumulate) {
        CudaMatrix in = CudaMatrix.of(card, x, false);
        CudaMatrix to = CudaMatrix.of(card, out);
        try (WeightInUse<? extends CudaWeight> placed = WeightInUse.any(weight, card, upload)) {
            switch (placed.weight()) {
                case CudaWeight.Tiled tiled -> products.multiply(in, List.of(tiled), List.of(to), card, accumulate);
                case CudaWeight.Dense dense -> products.multiply(in, dense, to, accumulate);
            }
        }
    }

    /** Brings a weight of the host to the card in fp16: no product has to bring or expand it again. */
    PlacedWeight bring(Weight host) {
        WeightInUse<? extends CudaWeight> placed = WeightInUse.any(host, card, upload);
        if (!(placed.weight() instanceof CudaWeight.Tiled tiled)) {
            return new PlacedWeight(placed.weight(), placed::close);
        }
        DeviceMemory.Buffer buffer;
        try (placed) {
            buffer = card.memory().allocate(2L * host.outFeatures() * host.inFeatures(), host.name());
            try {
                products.expand(tiled.matrix(), buffer);
            } catch (RuntimeException e) {
                buffer.close();
                throw e;
            }
        }
        return new PlacedWeight(
                new CudaWeight.Dense(host.name(), host.outFeatures(), host.inFeatures(), buffer, 0), buffer::close);
    }

    /** Whether these weights are quantized parts of one matrix, which one launch can multiply. */
    boolean share(List<Weight> weights) {
        return weights.getFirst() instanceof CudaWeight.Tiled first
                && weights.stream()
                        .allMatch(w -> w instanceof CudaWeight.Tiled part && part.matrix() == first.matrix());
    }

    /** Products of one input with weights that {@link #share} a matrix. */
    void multiply(List<Weight> weights, Matrix x, List<Matrix> outs) {
        for (int i = 0; i < weights.size(); i++) {
            Extents.linear(weights.get(i), x, outs.get(i));
        }
        List<CudaWeight.Tiled> parts =
                weights.stream().map(CudaWeight.Tiled.class::cast).toList();
        products.multiply(CudaMatrix.of(card, x, false), parts, outs, card, false);
    }
}
