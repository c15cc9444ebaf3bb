//! Where the multipliers and block RAMs of an FPGA stand, and whose they are.

use super::memories::{Memory, row_of_memories};
use lpu_isa::configuration::Configuration;
use lpu_isa::host::scale_bits;
use lpu_isa::resources::block_rams;

/// Clusters side by side that hold a row of a tile group.
const BLOCK: usize = 4;
/// Multipliers of a cluster.
pub const MULTIPLIERS: usize = 4;
/// Block RAMs of a cluster: as many as multipliers.
pub const BLOCK_RAMS: usize = MULTIPLIERS;
/// Place of a cluster's multipliers: columns right of its first, and number of the site.
pub const MULTIPLIER_SITES: [(u32, u32); MULTIPLIERS] = [(0, 0), (1, 1), (4, 4), (5, 5)];
/// Place of a cluster's block RAMs: columns right of its first.
pub const BLOCK_RAM_COLUMNS: [u32; BLOCK_RAMS] = [0, 2, 4, 6];
/// Sites for each block RAM of the requantiser's tables, where there is room: all 36 bits of both ports are wired, and side by side
/// such blocks want more wires than their columns have.
pub const APART: u32 = 2;

/// Where the clusters of an FPGA stand.
pub struct Geometry {
    /// First column of each cluster of a row.
    columns: Vec<u32>,
    /// Row of the multipliers, row of the block RAMs beside them; from the top.
    rows: Vec<(u32, u32)>,
    /// The (column, row) of each cluster that is the requantiser's, where it takes multipliers.
    requantiser: Vec<(usize, usize)>,
    /// The (column, row) of the tiles' clusters in the order of the serpentine, where the requantiser takes multipliers.
    around_requantiser: Vec<(usize, usize)>,
    /// Where in it the second group begins, whose first row is beside the requantiser as is that of the first group, which ends there.
    second_group: usize,
    /// Row of block RAMs without multipliers beside them, and the cluster at which the vector memory's begin there.
    vectors: (u32, usize),
    /// Where the vector unit and the tiles of a machine with extensions stand, where that has been thought out.
    extended: Option<Extended>,
}

/// The clusters of a machine with extensions, whose vector unit has multipliers and tables of its own. It stands in the middle of the
/// last row, above what it exchanges words with.
struct Extended {
    /// Columns of the vector unit's clusters, in the last row.
    vector_unit: std::ops::Range<usize>,
    /// The (column, row) of the tiles' clusters in the order of the serpentine.
    tiles: Vec<(usize, usize)>,
}

/// The geometry of a device, where it is known: read off placements of nextpnr that fill all multipliers and block RAMs. Two
/// columns of something else stand in the middle of each chip.
pub fn geometry(device: &str) -> Option<Geometry> {
    let columns = |count: u32, left_of_middle: u32| {
        (0..count).map(|group| 4 + 9 * group + if group >= left_of_middle { 2 } else { 0 }).collect()
    };
    let side_by_side = |columns: std::ops::Range<usize>, row: usize| columns.map(move |column| (column, row));
    match device {
        // The fourth row of block RAMs is the lowest of all, so vector memory and queues stand there, the requantiser above them,
        // and the serpentine begins and ends far from both.
        "LFE5U-85F" => Some(Geometry {
            columns: columns(13, 7),
            rows: vec![(10, 22), (34, 46), (58, 70)],
            requantiser: vec![(4, 2), (5, 2)],
            around_requantiser: side_by_side(4..8, 1)
                .chain(side_by_side(4..8, 0))
                .chain(side_by_side(0..4, 0))
                .chain(side_by_side(0..4, 1))
                .chain(side_by_side(0..4, 2))
                // The second group begins here.
                .chain(side_by_side(6..10, 2))
                .chain([(10, 2), (11, 2), (12, 2), (12, 1)])
                .chain(side_by_side(8..12, 1))
                .chain(side_by_side(8..12, 0))
                // The last one; for a row that needs more, place and route finds others.
                .chain([(12, 0)])
                .collect(),
            second_group: 20,
            vectors: (82, 1),
            extended: Some(Extended {
                vector_unit: 3..10,
                tiles: [(2, 1)]
                    .into_iter()
                    .chain(side_by_side(0..3, 2))
                    .chain([(0, 0), (1, 0), (0, 1), (1, 1)])
                    .chain(side_by_side(2..6, 0))
                    .chain(side_by_side(3..7, 1))
                    // The second group begins here.
                    .chain(side_by_side(7..11, 1))
                    .chain(side_by_side(6..10, 0))
                    .chain([(10, 0), (11, 0), (12, 0), (11, 1)])
                    .chain([(12, 1)])
                    .chain(side_by_side(10..13, 2))
                    .collect(),
            }),
        }),
        // Here the row of block RAMs without multipliers is the highest, and the requantiser stands below it.
        "LFE5U-45F" => Some(Geometry {
            columns: columns(9, 4),
            rows: vec![(22, 34), (46, 58)],
            requantiser: vec![(4, 0), (5, 0)],
            around_requantiser: side_by_side(0..4, 1)
                .chain(side_by_side(0..4, 0))
                // The second group begins here.
                .chain(side_by_side(6..9, 0))
                .chain([(8, 1)])
                .chain(side_by_side(4..8, 1))
                .collect(),
            second_group: 8,
            vectors: (10, 1),
            extended: None,
        }),
        // The same chip under two names.
        "LFE5U-12F" | "LFE5U-25F" => Some(Geometry {
            columns: columns(7, 3),
            rows: vec![(13, 25)],
            requantiser: vec![(6, 0)],
            around_requantiser: side_by_side(0..6, 0).collect(),
            second_group: 0,
            vectors: (37, 2),
            extended: None,
        }),
        _ => None,
    }
}

/// First column of a cluster, row of its multipliers and row of its block RAMs.
pub type Cluster = (u32, u32, u32);

/// A block RAM: a cluster, and which of its own.
pub type Site = (Cluster, usize);

/// The sites of a tile.
pub struct TileSites {
    /// The cluster of its multipliers.
    pub cluster: Cluster,
    /// The block RAMs of its weights, in their order: a cluster and which of its own.
    pub block_rams: Vec<Site>,
}

/// The clusters of an FPGA, dealt out.
pub struct Clusters {
    /// For the tiles, in the order in which the serpentine passes them.
    pub tiles: Vec<TileSites>,
    /// For the requantiser, where it has multipliers.
    pub requantiser: Vec<Cluster>,
    /// Block RAMs for vector memory and queues, in their order.
    pub vectors: Vec<Site>,
    /// Block RAMs for the requantiser's tables that its own clusters do not hold, where the row of vectors has none for them.
    pub more_tables: Vec<Site>,
    /// Whether every other block RAM stays free between the requantiser's tables; those that its clusters do not hold then
    /// stand in the row of vectors.
    pub tables_apart: bool,
    /// For the products of the vector unit, in a machine with extensions.
    pub vector_unit: Vec<Cluster>,
    /// Block RAMs for its tables and for the requantiser's.
    pub tables: Vec<Site>,
}

impl Clusters {
    /// The clusters of `geometry` for a machine.
    pub fn of(geometry: &Geometry, configuration: &Configuration) -> Clusters {
        match &geometry.extended {
            Some(extended)
                if configuration.extensions.is_some() && configuration.tiles as usize <= extended.tiles.len() =>
            {
                Clusters::extended(geometry, extended, configuration)
            }
            _ => Clusters::plain(geometry, configuration),
        }
    }

    fn plain(geometry: &Geometry, configuration: &Configuration) -> Clusters {
        let cluster = |place| geometry.cluster(place);
        let tile = |place| {
            let cluster = geometry.cluster(place);
            TileSites { cluster, block_rams: (0..BLOCK_RAMS).map(|index| (cluster, index)).collect() }
        };
        let mut vectors: Vec<Site> = geometry.row_below(geometry.vectors.1);
        let (vector_unit, tables) = (Vec::new(), Vec::new());
        let mut more_tables = Vec::new();
        if configuration.scale_multiplier_lanes > 0 {
            let requantiser: Vec<Cluster> = geometry.requantiser.iter().copied().map(cluster).collect();
            let tiles = geometry.around_requantiser(configuration).into_iter().map(tile).collect();
            let sites: u32 = row_of_memories(configuration, Some(requantiser.len())).iter().map(Memory::sites).sum();
            let tables_apart = sites as usize <= vectors.len();
            if !tables_apart {
                [more_tables, vectors] = geometry.more_block_rams(vectors, configuration);
            }
            return Clusters { tiles, requantiser, vectors, more_tables, tables_apart, vector_unit, tables };
        }
        let columns: Vec<usize> = (0..geometry.columns.len()).collect();
        let mut tiles = Vec::new();
        for (number, block) in columns.chunks(BLOCK).enumerate() {
            let mut rows: Vec<usize> = (0..geometry.rows.len()).collect();
            if number % 2 == 0 {
                rows.reverse();
            }
            tiles.extend(rows.into_iter().flat_map(|row| block.iter().map(move |&column| (column, row))).map(tile));
        }
        Clusters { tiles, requantiser: Vec::new(), vectors, more_tables, tables_apart: false, vector_unit, tables }
    }

    /// A tile has more blocks than its cluster, so the last ones stand in the row of clusters below, which gives up as many of
    /// its own, and so on: none is further from its tile than the next row.
    fn extended(geometry: &Geometry, extended: &Extended, configuration: &Configuration) -> Clusters {
        let rows = geometry.rows.len();
        let blocks = block_rams(configuration.weight_word_bits(), configuration.weight_depth) as usize;
        let more = blocks.saturating_sub(BLOCK_RAMS);
        // Block RAMs of a cluster of this row that are its own tile's.
        let own = |row: usize| if row < rows { BLOCK_RAMS.saturating_sub(row * more) } else { 0 };
        let at = |column: usize, row: usize| {
            if row < rows { geometry.cluster((column, row)) } else { geometry.below(column) }
        };
        let tile = |&(column, row): &(usize, usize)| {
            let inside = (0..own(row).min(blocks)).map(|index| (at(column, row), index));
            let below = (own(row + 1)..BLOCK_RAMS).map(|index| (at(column, row + 1), index));
            TileSites { cluster: at(column, row), block_rams: inside.chain(below).take(blocks).collect() }
        };
        let columns = || extended.vector_unit.clone();
        let last = rows.saturating_sub(1);
        let mut tables: Vec<Site> =
            columns().flat_map(|column| (0..own(last)).map(move |index| (at(column, last), index))).collect();
        // Beside the row of vectors, what the tiles above leave: on the right first, because the tables of the last lanes come next.
        let left = blocks.saturating_sub(own(last))..BLOCK_RAMS;
        let beside = (columns().end..geometry.columns.len()).chain((0..columns().start).rev());
        tables.extend(beside.flat_map(|column| left.clone().map(move |index| (geometry.below(column), index))));
        Clusters {
            tiles: extended.tiles.iter().map(tile).collect(),
            requantiser: Vec::new(),
            vectors: geometry.row_below(columns().start),
            more_tables: Vec::new(),
            tables_apart: false,
            vector_unit: columns().map(|column| at(column, last)).collect(),
            tables,
        }
    }
}

impl Geometry {
    fn cluster(&self, (column, row): (usize, usize)) -> Cluster {
        let (multipliers, block_rams) = self.rows[row];
        (self.columns[column], multipliers, block_rams)
    }

    /// All block RAMs of the row without multipliers, from a column on.
    fn row_below(&self, first: usize) -> Vec<Site> {
        let columns = first..self.columns.len();
        columns.flat_map(|column| (0..BLOCK_RAMS).map(move |index| (self.below(column), index))).collect()
    }

    /// The tiles' clusters in the order in which the tiles take them. A first group of fewer tiles than there is room for begins so much
    /// later: what it leaves lies in the middle of the chip, above the requantiser.
    fn around_requantiser(&self, configuration: &Configuration) -> Vec<(usize, usize)> {
        let columns = configuration.columns().min(configuration.dot);
        let first: u32 = (0..columns).map(|column| configuration.rows_of_column(column)).sum();
        let mut order = self.around_requantiser.clone();
        let left = self.second_group.saturating_sub(first as usize).min(order.len());
        order.rotate_left(left);
        order
    }

    /// Sites for what the row of vectors does not hold, where the requantiser has multipliers: those that the tiles leave of their clusters.
    /// The nearest to the requantiser are for its tables; the others, with those `below`, for vectors and queues, column by
    /// column, so that what stands one behind the other is near.
    fn more_block_rams(&self, below: Vec<Site>, configuration: &Configuration) -> [Vec<Site>; 2] {
        let of_tile = block_rams(configuration.weight_word_bits(), configuration.weight_depth) as usize;
        let mut left: Vec<Site> = Vec::new();
        for (number, place) in self.around_requantiser(configuration).into_iter().enumerate() {
            let taken = if number < configuration.tiles as usize { of_tile.min(BLOCK_RAMS) } else { 0 };
            left.extend((taken..BLOCK_RAMS).map(|index| (self.cluster(place), index)));
        }
        let own: Vec<Cluster> = self.requantiser.iter().map(|&place| self.cluster(place)).collect();
        let distance = |&((x, _, y), _): &Site| {
            own.iter().map(|&(own_x, _, own_y)| own_x.abs_diff(x) + own_y.abs_diff(y)).min().unwrap_or(0)
        };
        left.sort_by_key(distance);
        let needed =
            configuration.requantiser_lanes() * block_rams(scale_bits(configuration), configuration.scale_words());
        let outside = (needed as usize).saturating_sub(BLOCK_RAMS * own.len()).min(left.len());
        let mut vectors = left.split_off(outside);
        vectors.extend(below);
        // The row of vectors begins further right, so that it lies below the tiles; its other end is for what nothing else holds.
        let wanted: u32 = row_of_memories(configuration, None).iter().map(Memory::sites).sum();
        if vectors.len() < wanted as usize {
            let before = self.row_below(0).into_iter().filter(|site| !vectors.contains(site)).collect::<Vec<_>>();
            vectors.extend(before);
        }
        // From the row of vectors upwards, or downwards where that is the highest.
        let row = self.vectors.0;
        vectors.sort_by_key(|&((x, _, y), index)| (x, y.abs_diff(row), index));
        [left, vectors]
    }

    /// The block RAMs of the row without multipliers.
    fn below(&self, column: usize) -> Cluster {
        let (row, _) = self.vectors;
        (self.columns[column], row, row)
    }
}
