// The fixed part of the shim. In front of it stands what was generated for one source: LPU_CLOCK, LPU_PORTS, port_table,
// LPU_OBSERVED, LPU_OBSERVED_WORDS, observed_table, LPU_PORT_SLOTS, and LPU_TRACE with TraceFile.
//
// Every exported function that runs the model returns through guard(): a fatal error of the model becomes a C++ exception
// (Verilator's own handler would end the process) and then an error text that the caller fetches.
#include <cerrno>
#include <cstdint>
#include <cstring>
#include <memory>
#include <new>
#include <stdexcept>
#include <string>

#if LPU_OBSERVED
#include "verilated_syms.h"
#endif

#define LPU_EXPORT extern "C" __attribute__((visibility("default")))

// Replaces Verilator's handler, which is compiled out by VL_USER_FATAL.
void vl_fatal(const char* file, int line, const char* hierarchy, const char* message) {
    std::string text = message ? message : "fatal error";
    if (hierarchy && *hierarchy) text += std::string(" in ") + hierarchy;
    if (file && *file) text += std::string(" (") + file + ":" + std::to_string(line) + ")";
    throw std::runtime_error(text);
}

// One signal's storage inside the model. Verilator keeps up to 8, 16, 32 and 64 bits in one integer of that size and
// wider ones in an array of 32-bit words; it relies on unused high bits being zero.
struct Slot {
    void* data = nullptr;
    uint32_t width = 0;

    uint32_t words() const { return (width + 31) / 32; }
    uint32_t mask() const { return width % 32 ? (1u << (width % 32)) - 1 : ~0u; }
    void store(const uint32_t* from) const {
        if (width <= 8) *static_cast<uint8_t*>(data) = static_cast<uint8_t>(from[0] & mask());
        else if (width <= 16) *static_cast<uint16_t*>(data) = static_cast<uint16_t>(from[0] & mask());
        else {
            std::memcpy(data, from, 4 * (words() - 1));
            static_cast<uint32_t*>(data)[words() - 1] = from[words() - 1] & mask();
        }
    }
    void load(uint32_t* to) const {
        if (width <= 8) to[0] = *static_cast<const uint8_t*>(data);
        else if (width <= 16) to[0] = *static_cast<const uint16_t*>(data);
        else std::memcpy(to, data, 4 * words());
    }
    bool nonzero() const {
        if (width <= 8) return *static_cast<const uint8_t*>(data) != 0;
        if (width <= 16) return *static_cast<const uint16_t*>(data) != 0;
        for (uint32_t i = 0; i < words(); ++i) if (static_cast<const uint32_t*>(data)[i]) return true;
        return false;
    }
};

constexpr size_t storage(uint32_t width) {
    return width <= 8 ? 1 : width <= 16 ? 2 : 4 * ((width + 31) / 32);
}

template <uint32_t width, class T>
Slot slot(T& port) {
    static_assert(sizeof(T) == storage(width), "a port's declared width is not the width it has in the Verilog text");
    return Slot{&port, width};
}

struct Simulation {
    std::unique_ptr<VerilatedContext> context;
    std::unique_ptr<Vmodel> model;
    Slot ports[LPU_PORTS + 1];
    Slot observed[LPU_OBSERVED + 1];
    uint64_t cycles = 0;
    std::string error;
#if LPU_TRACE
    std::unique_ptr<TraceFile> trace;
#endif

    void dump(uint64_t time) {
#if LPU_TRACE
        if (trace) {
            context->time(time);
            trace->dump(time);
        }
#else
        (void)time;
#endif
    }
    void low() {
        model->LPU_CLOCK = 0;
        model->eval();
        dump(10 * cycles);
    }
    void high() {
        model->LPU_CLOCK = 1;
        model->eval();
        dump(10 * cycles + 5);
        ++cycles;
    }
    void tick() {
        low();
        high();
    }
    uint32_t* log(uint32_t* row) const {
        for (uint32_t i = 0; i < LPU_OBSERVED; ++i) {
            observed[i].load(row);
            row += observed[i].words();
        }
        return row;
    }
};

// Runs `body`; 0 when it came to its end, 1 when the model failed, with the reason in `error`.
template <class Body>
static int32_t guard(Simulation* simulation, Body body) {
    try {
        Verilated::threadContextp(simulation->context.get());
        body();
        return 0;
    } catch (const std::exception& failure) {
        simulation->error = failure.what();
    } catch (...) {
        simulation->error = "unknown failure";
    }
    return 1;
}

#if LPU_OBSERVED
// The storage of an observed signal, by its path from the top module. Its width is checked against the declared one.
static Slot find_observed(Simulation* simulation, const Description& wanted) {
    const std::string path = wanted.name;
    const size_t dot = path.rfind('.');
    const std::string scope_name = path.substr(0, dot), name = path.substr(dot + 1);
    const VerilatedScope* scope = simulation->context->scopeFind((std::string("TOP.") + scope_name).c_str());
    if (!scope) scope = simulation->context->scopeFind(scope_name.c_str());
    const VerilatedVar* variable = scope ? scope->varFind(name.c_str()) : nullptr;
    if (!variable) throw std::runtime_error("the model has no signal `" + path + "`");
    if (variable->udims() != 0) throw std::runtime_error("`" + path + "` is a memory, not a signal");
    const uint32_t bits = variable->entBits();
    if (bits != wanted.width) {
        throw std::runtime_error("`" + path + "` has " + std::to_string(bits) + " bits, declared with "
                                 + std::to_string(wanted.width));
    }
    return Slot{variable->datap(), wanted.width};
}
#else
static Slot find_observed(Simulation*, const Description&) { return Slot{}; }
#endif

LPU_EXPORT uint32_t lpu_interface() { return LPU_INTERFACE; }
LPU_EXPORT uint32_t lpu_port_count() { return LPU_PORTS; }
LPU_EXPORT const Description* lpu_ports() { return port_table; }
LPU_EXPORT uint32_t lpu_observed_count() { return LPU_OBSERVED; }
LPU_EXPORT const Description* lpu_observed() { return observed_table; }
LPU_EXPORT uint32_t lpu_can_trace() { return LPU_TRACE; }

// A new instance, settled with all inputs zero. Never null short of memory; a failure is in its error text.
LPU_EXPORT Simulation* lpu_new() {
    auto* simulation = new (std::nothrow) Simulation;
    if (!simulation) return nullptr;
    try {
        simulation->context.reset(new VerilatedContext);
        Verilated::threadContextp(simulation->context.get());
        simulation->context->threads(1);
        simulation->context->traceEverOn(LPU_TRACE);
        simulation->model.reset(new Vmodel{simulation->context.get(), "TOP"});
        const Slot ports[LPU_PORTS + 1] = LPU_PORT_SLOTS(*simulation->model);
        std::memcpy(simulation->ports, ports, sizeof ports);
        for (uint32_t i = 0; i < LPU_OBSERVED; ++i) simulation->observed[i] = find_observed(simulation, observed_table[i]);
        simulation->model->LPU_CLOCK = 0;
        simulation->model->eval();
    } catch (const std::exception& failure) {
        simulation->error = failure.what();
    }
    return simulation;
}

LPU_EXPORT void lpu_free(Simulation* simulation) {
    guard(simulation, [&] {
#if LPU_TRACE
        if (simulation->trace) simulation->trace->close();
        simulation->trace.reset();
#endif
        if (simulation->model) simulation->model->final();
    });
    delete simulation;
}

// Valid until the next call that can fail.
LPU_EXPORT const char* lpu_error(Simulation* simulation) { return simulation->error.c_str(); }
LPU_EXPORT uint64_t lpu_cycles(Simulation* simulation) { return simulation->cycles; }
LPU_EXPORT void* lpu_port_data(Simulation* simulation, uint32_t index) {
    return index < LPU_PORTS ? simulation->ports[index].data : nullptr;
}

LPU_EXPORT int32_t lpu_eval(Simulation* simulation) {
    return guard(simulation, [&] { simulation->model->eval(); });
}

LPU_EXPORT int32_t lpu_tick(Simulation* simulation, uint64_t cycles) {
    return guard(simulation, [&] { while (cycles--) simulation->tick(); });
}

// Ticks until the port is not zero after a tick, at most `most` times. `log` takes LPU_OBSERVED_WORDS words a cycle and may
// be null. `made` counts the ticks, `reached` says whether the port was the reason to stop. A port index of LPU_PORTS or more
// means: do not look at any port.
LPU_EXPORT int32_t lpu_run(Simulation* simulation, uint32_t port, uint64_t most, uint32_t* log, uint64_t* made,
                           uint32_t* reached) {
    *made = 0;
    *reached = 0;
    return guard(simulation, [&] {
        const bool looks = port < LPU_PORTS;
        const Slot stop = looks ? simulation->ports[port] : Slot{};
        while (*made < most) {
            simulation->low();
            if (log) log = simulation->log(log);
            simulation->high();
            ++*made;
            if (looks && stop.nonzero()) {
                *reached = 1;
                return;
            }
        }
    });
}

// One tick a row. Each row sets the input ports (each takes its words), then ticks, then the output ports are read into
// `results` (which may be null when there are none).
LPU_EXPORT int32_t lpu_drive(Simulation* simulation, const uint32_t* inputs, uint32_t input_count, const uint32_t* rows,
                             uint64_t row_count, const uint32_t* outputs, uint32_t output_count, uint32_t* results) {
    return guard(simulation, [&] {
        while (row_count--) {
            for (uint32_t i = 0; i < input_count; ++i) {
                const Slot& port = simulation->ports[inputs[i]];
                port.store(rows);
                rows += port.words();
            }
            simulation->tick();
            for (uint32_t i = 0; i < output_count; ++i) {
                const Slot& port = simulation->ports[outputs[i]];
                port.load(results);
                results += port.words();
            }
        }
    });
}

LPU_EXPORT int32_t lpu_trace_close(Simulation* simulation) {
#if LPU_TRACE
    return guard(simulation, [&] {
        if (simulation->trace) simulation->trace->close();
        simulation->trace.reset();
    });
#else
    (void)simulation;
    return 0;
#endif
}

LPU_EXPORT int32_t lpu_trace_open(Simulation* simulation, const char* path) {
#if LPU_TRACE
    return guard(simulation, [&] {
        if (simulation->trace) simulation->trace->close();
        simulation->trace.reset(new TraceFile);
        simulation->model->trace(simulation->trace.get(), 99);
        simulation->trace->open(path);
        if (!simulation->trace->isOpen()) {
            simulation->trace.reset();
            throw std::runtime_error(std::string("cannot write `") + path + "`: " + std::strerror(errno));
        }
    });
#else
    (void)path;
    simulation->error = "this model was built without tracing";
    return 1;
#endif
}

