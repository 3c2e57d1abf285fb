//! `parabola line`: draws the loss along the direction of one step against its parabola.

use ad_core::Real;
use clap::Args;
use gen_sched::{Line, LineCurvature, Parabola};

use super::CommandError;
use super::flags::{ConfigArgs, OutputArgs};
use super::values::{positive, two_or_more};
use crate::config::{Config, Dtype};
use crate::report::plot;
use crate::report::print::print;
use crate::report::run_folder::RunFolder;
use crate::report::table::Table;
use crate::session::{Session, in_pool};

/// The help text of the command.
pub(super) const ABOUT: &str = "\
    Trains for a number of steps, stops, and draws the loss g(α) = f(θ − αω) along the direction ω of the next step \
    against the parabola f − α num + ½α² den that GeN steps by, with its minimum α* = num/den marked. Writes \
    line.svg and line.csv.";

/// Flags of `parabola line`.
#[derive(Clone, Debug, Args)]
pub struct LineArgs {
    /// Train this many steps first
    #[arg(long, value_name = "STEPS", default_value_t = 0)]
    pub at_step: usize,
    /// How many values of α to evaluate the loss at
    #[arg(long, value_name = "N", default_value = "201", value_parser = two_or_more)]
    pub points: usize,
    /// The greatest α, as a multiple of α*
    #[arg(long, value_name = "MULTIPLE", default_value = "2.5", value_parser = positive)]
    pub range: f64,
    /// The configuration, whose rule takes the steps before.
    #[command(flatten)]
    pub config: ConfigArgs,
    /// The results.
    #[command(flatten)]
    pub output: OutputArgs,
}

/// Trains, evaluates the line and draws it.
///
/// # Errors
/// If the flags contradict one another, the data cannot be read or the results cannot be written.
pub fn run(args: LineArgs) -> Result<(), CommandError> {
    let config = args.config.settle()?;
    in_pool(args.config.machine.threads, || match config.training.dtype {
        Dtype::F32 => line::<f32>(&args, &config),
        Dtype::F64 => line::<f64>(&args, &config),
    })
}

/// The loss along a line, sampled, with its parabola.
struct Sampled {
    samples: Vec<(f64, f64)>,
    value: f64,
    num: f64,
    curvature: LineCurvature,
}

fn line<T: Real>(args: &LineArgs, config: &Config) -> Result<(), CommandError> {
    let mut session = Session::<T>::open(config)?;
    let (place, existing) = args.output.place(args.config.default_place(&format!("{}-line", session.name()), config));
    let folder = RunFolder::create(&place, existing, &config.to_toml())?;
    let at_step = args.at_step as u64;
    session.trainer.advance(at_step);
    let batch = session.trainer.batch_at(at_step);
    let sampled = session.trainer.stepper().with_line(&batch, |line| sample(line, args.points, args.range));
    if let Some(quantity) = sampled.non_finite() {
        return Err(CommandError::Other(format!("step {at_step}: {quantity}, so there is no parabola to draw").into()));
    }
    let title = format!("{} at step {at_step}, seed {}", session.data, config.training.seed);
    let Sampled { ref samples, value, num, curvature } = sampled;
    folder.write("line.svg", &plot::line(&plot::Line { title: &title, samples, value, num, den: curvature.den })?)?;
    folder.write("line.csv", &sampled.csv())?;
    folder.finish()?;
    print(&format!("{}\nwrote {}\n", sampled.table(), place.display())).map_err(CommandError::Output)
}

/// Evaluates the line at `points` rates from 0 to `range` α*, or to `range` where the parabola has no minimum.
fn sample<T: Real>(line: &mut Line<'_, T>, points: usize, range: f64) -> Sampled {
    let (value, num, curvature) = (line.value(), line.num(), line.curvature());
    let unit = Parabola { num, den: curvature.den }.minimiser().unwrap_or(1.0);
    let rates = (0..points).map(|i| range * unit * i as f64 / (points - 1) as f64);
    Sampled { samples: rates.map(|alpha| (alpha, line.at(alpha))).collect(), value, num, curvature }
}

impl Sampled {
    fn parabola(&self) -> Parabola {
        Parabola { num: self.num, den: self.curvature.den }
    }

    /// What is not finite of the value, slope and curvature.
    fn non_finite(&self) -> Option<String> {
        let seen = [("the loss", self.value), ("num", self.num), ("den", self.curvature.den)];
        seen.iter().find(|(_, x)| !x.is_finite()).map(|(name, x)| format!("{name} is {x}"))
    }

    /// α, g(α) and the parabola, one row a sample.
    fn csv(&self) -> String {
        let mut text = String::from("alpha,loss,parabola\n");
        for (alpha, loss) in &self.samples {
            let parabola = self.value - self.parabola().decrease(*alpha);
            text += &format!("{alpha},{loss},{parabola}\n");
        }
        text
    }

    fn table(&self) -> Table {
        let mut table = Table::new();
        let number = |x: f64| format!("{x:.6e}");
        table.row(["loss f(θ)".to_owned(), number(self.value)]);
        table.row(["num = df·ω".to_owned(), number(self.num)]);
        table.row(["den = d²f(ω, ω)".to_owned(), number(self.curvature.den)]);
        if let Some(gn) = self.curvature.gauss_newton {
            table.row(["Gauss–Newton part of den".to_owned(), number(gn)]);
        }
        match self.parabola().minimiser() {
            Ok(alpha) => {
                table.row(["α* = num/den".to_owned(), number(alpha)]);
                table.row(["decrease at α*, predicted".to_owned(), number(self.parabola().decrease(alpha))]);
            }
            Err(reason) => {
                table.row(["α* = num/den".to_owned(), format!("none ({reason})")]);
            }
        }
        let lowest = self.samples.iter().filter(|s| s.1.is_finite()).min_by(|a, b| a.1.total_cmp(&b.1));
        if let Some((alpha, loss)) = lowest {
            table.row(["lowest sampled loss".to_owned(), number(*loss)]);
            table.row(["at α".to_owned(), number(*alpha)]);
        }
        table
    }
}
