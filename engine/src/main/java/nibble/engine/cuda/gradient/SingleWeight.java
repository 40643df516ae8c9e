package nibble.engine.cuda.gradient;

import nibble.engine.cuda.driver.DeviceMemory;
import nibble.engine.cuda.driver.Floats;
import nibble.engine.tensor.DeviceWeight;

/** Holds a weight in fp32 in device memory, row-major [outFeatures, inFeatures]. Borrows the buffer. */
record SingleWeight(String name, int outFeatures, int inFeatures, DeviceMemory.Buffer buffer) implements DeviceWeight {
    Floats floats() {
        return new Floats(buffer.address(), inFeatures);
    }
}
