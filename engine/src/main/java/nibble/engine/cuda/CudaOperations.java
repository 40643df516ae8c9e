package nibble.engine.cuda;

import java.util.List;
import nibble.checkpoint.model.layer.Activation;
import nibble.engine.attention.AttentionShape;
import nibble.engine.attention.RotaryTable;
import nibble.engine.attention.SequencePart;
import nibble.engine.backend.Extents;
import nibble.engine.backend.LayerOperations;
import nibble.engine.backend.Workers;
import nibble.engine.cuda.attention.AttentionKernel;
import nibble.engine.cuda.attention.PagedAttention;
import nibble.engine.cuda.data.KeptVectors;
import nibble.engine.cuda.driver.CudaResources;
import nibble.engine.tensor.Matrix;
import nibble.engine.tensor.Weight;

/** The operations of a decoder layer on a card. Owns what it makes, which {@link CudaBackend} closes. */
abstract class CudaOperations implements LayerOperations {
    final CudaResources card;
    final Workers workers;
    final Products products;
    final WeightUpload upload;
    final KeptVectors vectors;
    final Linears linears;
    final ElementwiseKernels elementwise;
    final ExpertKernels experts;
    final PagedAttention paged;
    private final AttentionKernel attention;

    CudaOperations(CudaResources card, Workers workers) {
        this.card = card;
        this.workers = workers;
        this.products = new Products(card.device(), card.memory(), card.kernels(), card.cublas(), card.stream());
        this.vectors = new KeptVectors(card.memory(), card.transfers(), card.stream());
        this.attention = new AttentionKernel(card, vectors);
        this.paged = new PagedAttention(card, vectors, attention);
        this.upload = new WeightUpload(card.memory(), card.kernels(), workers);
        this.experts = new ExpertKernels(card);
        this.elementwise = new ElementwiseKernels(card, vectors, upload);
        this.linears = new Linears(card, products, upload);
    }

    @Override
    public void embed(Weight embedding, int[] ids, Matrix out) {
        elementwise.embed(embedding, ids, out);
    }

    @Override
    public void rmsNorm(Matrix x, float[] weight, double epsilon, Matrix out) {
        elementwise.rmsNorm(x, weight, epsilon, out);
    }

    @Override
    public void center(Matrix x, Matrix out) {
        elementwise.center(x, out);
    }

    @Override
    public void rmsNormHeads(Matrix x, float[] weight, double epsilon) {
        elementwise.rmsNormHeads(x, weight, epsilon);
    }

    @Override
    public void layerNormHeads(Matrix x, float[] weight, int headDim, double epsilon) {
        elementwise.layerNormHeads(x, weight, headDim, epsilon);
    }

    @Override
    public void addBias(float[] bias, Matrix into) {
        elementwise.addBias(bias, into);
    }

    @Override
    public void scale(Matrix x, float factor) {
        elementwise.scale(x, factor);
    }

    @Override
    public void cap(Matrix x, float most) {
        elementwise.cap(x, most);
    }

    @Override
    public void linear(Weight weight, Matrix x, Matrix out) {
        Extents.linear(weight, x, out);
        linears.multiply(weight, x, out, false);
    }

    @Override
    public void addLinear(Weight weight, Matrix x, Matrix into) {
        Extents.linear(weight, x, into);
        linears.multiply(weight, x, into, true);
    }

    @Override
    public void linears(List<Weight> weights, Matrix x, List<Matrix> outs) {
        if (linears.share(weights)) {
            linears.multiply(weights, x, outs);
        } else {
            LayerOperations.super.linears(weights, x, outs);
        }
    }

    @Override
    public void rope(Matrix x, int headDim, RotaryTable table, int sequences, int firstPosition) {
        elementwise.rope(x, headDim, table, sequences, firstPosition);
    }

    @Override
    public void attention(
            AttentionShape shape,
            int sequences,
            Matrix query,
            int firstPosition,
            Matrix keys,
            Matrix values,
            Matrix out) {
        attention.run(shape, sequences, query, firstPosition, keys, values, out);
    }

    @Override
    public void attention(
            AttentionShape shape, SequencePart part, Matrix query, Matrix keys, Matrix values, Matrix out) {
        attention.run(shape, part, query, keys, values, out);
    }

    @Override
    public void attention(
            AttentionShape shape,
            List<SequencePart.InBlocks> parts,
            Matrix query,
            Matrix keys,
            Matrix values,
            Matrix out) {
        paged.run(shape, parts, query, keys, values, out);
    }

    @Override
    public void scatterRows(Matrix source, int[] rows, Matrix target) {
        paged.scatter(source, rows, target);
    }

    @Override
    public void gatherRows(Matrix source, int[] rows, Matrix target) {
        experts.gather(source, rows, target);
    }

    @Override
    public void gatherColumns(Matrix source, int[] columns, Matrix target) {
        elementwise.gatherColumns(source, columns, target);
    }

    @Override
    public void mixRows(Matrix products, int[] places, float[] weights, Matrix into) {
        experts.mix(products, places, weights, into);
    }

    @Override
    public void glu(Activation activation, Matrix gate, Matrix up, Matrix out) {
        elementwise.glu(activation, gate, up, out);
    }

    @Override
    public void add(Matrix x, Matrix into) {
        elementwise.add(x, into);
    }
}
